"""AlexNet (Krizhevsky, Sutskever & Hinton 2012) on the labelled images alone.

The widths are those of the one-column version (Krizhevsky 2014, "One weird trick for parallelizing convolutional
neural networks"), which has no local response normalisation either. Only the first convolution depends on the size of
the images: with the published 11 × 11 at stride 4, the three poolings would leave nothing of a small image.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from experiments.learning.contract import System, Task, register
from experiments.learning.supervised import ClassifierLearner, SupervisedSettings, scaled

CHANNELS = (64, 192, 384, 256, 256)
HIDDEN = 4096
# The first convolution by the image's shorter side: the least side, kernel, stride, padding.
STEMS = ((128, 11, 4, 2), (64, 7, 2, 3), (0, 5, 1, 2))


class AlexNet(nn.Module):
    """Maps images [b, N_c, H, W], 28 pixels a side or more, to class scores [b, C].

    Args:
        shape: (N_c, H, W).
        classes: C.
        width: a factor of all published widths.
        dropout: the share of values dropped before each hidden layer.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, width: float, dropout: float) -> None:
        super().__init__()
        kernel, stride, padding = next(stem for least, *stem in STEMS if min(shape[1:]) >= least)
        first, second, third, fourth, fifth = (scaled(channels, width) for channels in CHANNELS)
        self.features = nn.Sequential(
            nn.Conv2d(shape[0], first, kernel, stride, padding),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(first, second, 5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(second, third, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(third, fourth, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(fourth, fifth, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2),
            nn.Flatten(),
        )
        with torch.no_grad():
            flat = self.features(torch.zeros(1, *shape)).shape[1]
        hidden = scaled(HIDDEN, width)
        self.hidden = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(flat, hidden),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(hidden, hidden),
            nn.ReLU(inplace=True),
        )
        self.scores = nn.Linear(hidden, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.scores(self.hidden(self.features(images)))


class AlexNetSettings(SupervisedSettings):
    """Section `supervised` of params.yaml and the system's own."""

    width: float = Field(gt=0, le=2, description="multiplier of the published widths")
    dropout: float = Field(ge=0, lt=1, description="share of values dropped before each hidden layer")


@register
class AlexNetSystem(System[AlexNetSettings, ClassifierLearner[AlexNetSettings]]):
    """The row AlexNet of Table 1."""

    name = "alexnet"
    version = 3
    shares = ("supervised",)
    uses_xi = False
    spreads = True
    Settings = AlexNetSettings

    def learner(self, task: Task, settings: AlexNetSettings) -> ClassifierLearner[AlexNetSettings]:
        """Returns a learner at epoch 0."""

        def network() -> AlexNet:
            return AlexNet(task.store.shape, task.classes, settings.width, settings.dropout)

        return ClassifierLearner(task, settings, network)
