"""GoogLeNet (Szegedy et al. 2015, "Going deeper with convolutions", table 1) on the labelled images alone.

Batch normalisation (Ioffe & Szegedy 2015) follows each convolution: without it the 22 layers take a third of a short
training to leave their plateau. It also carries gradients down to the stem, which the auxiliary classifiers were for.
These are left out: their authors later found that they add nothing to the early training and act as regularisers
(Szegedy et al. 2016, section 4). Small images skip the first pooling, so that the last modules see maps of more than
one pixel.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor, nn

from experiments.learning.contract import System, Task, register
from experiments.learning.supervised import ClassifierLearner, SupervisedSettings, scaled

# Channels as in table 1, in its order: 1×1; 3×3 reduce, 3×3; 5×5 reduce, 5×5; pool projection. One group a map size.
MODULES = (
    ((64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)),
    (
        (192, 96, 208, 16, 48, 64),
        (160, 112, 224, 24, 64, 64),
        (128, 128, 256, 24, 64, 64),
        (112, 144, 288, 32, 64, 64),
        (256, 160, 320, 32, 128, 128),
    ),
    ((256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)),
)
STEM = (64, 192)
# The first convolution by the image's shorter side: the least side, kernel, stride, whether a pooling follows.
STEMS = ((128, 7, 2, True), (0, 5, 2, False))


def convolution(inputs: int, outputs: int, kernel: int, stride: int = 1) -> nn.Sequential:
    """Returns a convolution with "same" borders, batch normalisation (which has the bias) and ReLU."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


class Inception(nn.Module):
    """An Inception module, [b, inputs, h, w] to [b, outputs, h, w]: four branches side by side.

    Args:
        inputs: channels of the input.
        channels: those of the branches, a row of MODULES.
    """

    def __init__(self, inputs: int, channels: tuple[int, ...]) -> None:
        super().__init__()
        one, reduce_three, three, reduce_five, five, pooled = channels
        # The three 1×1 convolutions of the module's input run as one: the same numbers in a third of the calls.
        self.split = (one, reduce_three, reduce_five)
        self.pointwise = convolution(inputs, sum(self.split), 1)
        self.three = convolution(reduce_three, three, 3)
        self.five = convolution(reduce_five, five, 5)
        self.pooled = nn.Sequential(nn.MaxPool2d(3, 1, 1), convolution(inputs, pooled, 1))
        self.outputs = one + three + five + pooled

    def forward(self, maps: Tensor) -> Tensor:
        one, three, five = self.pointwise(maps).split(self.split, 1)
        return torch.cat([one, self.three(three), self.five(five), self.pooled(maps)], 1)


class GoogLeNet(nn.Module):
    """Maps images [b, N_c, H, W], 28 pixels a side or more, to class scores [b, C].

    Args:
        shape: (N_c, H, W).
        classes: C.
        width: a factor of all published widths.
        dropout: the share of averaged maps dropped before the last layer.
    """

    def __init__(self, shape: tuple[int, int, int], classes: int, width: float, dropout: float) -> None:
        super().__init__()
        kernel, stride, pooling = next(stem for least, *stem in STEMS if min(shape[1:]) >= least)
        first, channels = (scaled(channels, width) for channels in STEM)
        layers: list[nn.Module] = [convolution(shape[0], first, kernel, stride)]
        if pooling:
            layers.append(nn.MaxPool2d(3, 2, 1))
        layers += [convolution(first, first, 1), convolution(first, channels, 3)]
        for group in MODULES:
            layers.append(nn.MaxPool2d(3, 2, 1))
            for row in group:
                module = Inception(channels, tuple(scaled(published, width) for published in row))
                layers.append(module)
                channels = module.outputs
        self.features = nn.Sequential(*layers)
        self.dropout = nn.Dropout(dropout)
        self.scores = nn.Linear(channels, classes)

    def forward(self, images: Tensor) -> Tensor:
        return self.scores(self.dropout(self.features(images).mean((2, 3))))


class GoogLeNetSettings(SupervisedSettings):
    """Section `supervised` of params.yaml and the system's own."""

    width: float = Field(gt=0, le=2, description="multiplier of the published widths")
    dropout: float = Field(ge=0, lt=1, description="share of averaged maps dropped before the last layer")


@register
class GoogLeNetSystem(System[GoogLeNetSettings, ClassifierLearner[GoogLeNetSettings]]):
    """The row GoogLeNet of Table 1."""

    name = "googlenet"
    version = 3
    shares = ("supervised",)
    uses_xi = False
    spreads = True
    Settings = GoogLeNetSettings

    def learner(self, task: Task, settings: GoogLeNetSettings) -> ClassifierLearner[GoogLeNetSettings]:
        """Returns a learner at epoch 0."""

        def network() -> GoogLeNet:
            return GoogLeNet(task.store.shape, task.classes, settings.width, settings.dropout)

        return ClassifierLearner(task, settings, network)
