"""CNN + RNN: AlexNet's convolutions and the recurrent network of `caption`, on the captioned images alone.

An image's code is the last layer of the CNN. It is linear, as in Vinyals et al. (2015), "Show and tell", and it is
standardised over the batch, as the prior does for an autoencoder's code: without that, the recurrent network ignored
the code in all of five pilots. No image is decoded.
"""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from data.seeds import seed_of
from experiments.learning.caption_learner import CaptionSettings, RecurrentDescriber
from experiments.learning.contract import CAPTIONS, System, Task, register
from experiments.learning.randomness import seeded
from experiments.learning.supervised import SupervisedLearner, SupervisedSettings
from experiments.systems.alexnet import AlexNet
from vae.caption_model import CaptionModel


class CnnRnnSettings(SupervisedSettings, CaptionSettings):
    """Sections `supervised` and `captions` of params.yaml, and the system's own."""

    width: float = Field(gt=0, le=2, description="multiplier of AlexNet's published widths")
    dropout: float = Field(ge=0, lt=1, description="share of values dropped before the CNN's hidden layers")
    code_size: int = Field(ge=1, le=8_192, description="values in an image's code")


class CaptionedNetwork(nn.Module):
    """A network from images [b, N_c, H, W] to codes [b, D], and the caption model that reads them."""

    captions: CaptionModel

    def __init__(self, network: nn.Module, code_size: int, captions: CaptionModel) -> None:
        super().__init__()
        self.network = network
        self.standardise = nn.BatchNorm1d(code_size, affine=False)
        self.captions = captions

    def forward(self, images: Tensor) -> Tensor:
        return self.standardise(self.network(images))


class CnnRnnLearner(RecurrentDescriber, SupervisedLearner[CnnRnnSettings]):
    """Learns from one caption of each captioned image, drawn anew in each step."""

    last_deviation = 1.0

    def __init__(self, task: Task, settings: CnnRnnSettings) -> None:
        assert task.captions is not None
        self.captions = task.captions

        def network() -> AlexNet:
            return AlexNet(task.store.shape, settings.code_size, settings.width, settings.dropout)

        super().__init__(task, settings, network)
        with seeded(seed_of("caption weights", **task.axes), torch.device("cpu")):
            captions = settings.caption_model(settings.code_size, self.captions).to(task.device)
        self.model = CaptionedNetwork(self.model, settings.code_size, captions).to(task.device)
        share = settings.caption_learning_rate / settings.learning_rate
        self.optimizer.add_param_group({"params": list(captions.parameters()), "weight_decay": 0.0, "share": share})

    def _loss(self, chosen: Tensor) -> Tensor:
        """Returns −log p(Y | X) per word of the batch, with one caption of each of the chosen rows."""
        indices = self.task.labelled[chosen.numpy()]
        images = self.settings.augmented(self.task.store.batch(indices, self.task.device))
        captions = self.captions.drawn(indices, torch.rand(len(chosen)).double().numpy())
        words = torch.from_numpy(captions).to(self.task.device)
        code = self._outputs(images).T[:, None]
        return -self.caption_model.log_likelihood(code, words).sum() / int(np.sum(captions >= 0))

    @property
    def caption_settings(self) -> CaptionSettings:
        return self.settings

    @property
    def caption_model(self) -> CaptionModel:
        assert isinstance(self.model, CaptionedNetwork)
        return self.model.captions

    def codes(self, images: Tensor, draws: int) -> Tensor:
        """Returns the one code that an image has, [1, D, 1, B]."""
        self.model.eval()
        return self._outputs(images).T[None, :, None]


@register
class CnnRnnSystem(System[CnnRnnSettings, CnnRnnLearner]):
    """The baseline of `caption` that learns from captioned images alone."""

    name = "cnn-rnn"
    version = 2
    shares = ("supervised", "captions")
    uses_xi = False
    learns = CAPTIONS
    Settings = CnnRnnSettings

    def learner(self, task: Task, settings: CnnRnnSettings) -> CnnRnnLearner:
        """Returns a learner at epoch 0."""
        return CnnRnnLearner(task, settings)
