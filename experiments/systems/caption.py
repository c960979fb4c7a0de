"""Captions (ours): the variational autoencoder, with a recurrent network that models captions given the code."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor

from data.prepared.store import batches
from data.seeds import seed_of
from experiments.learning.caption_learner import CaptionSettings, RecurrentDescriber
from experiments.learning.contract import CAPTIONS, Task, register
from experiments.learning.randomness import Stream
from experiments.learning.variational import ENCODED, VariationalLearner, VariationalSettings
from experiments.learning.variational_system import VariationalSystem
from vae.caption_model import CaptionModel
from vae.prediction import codes

DESCRIBED = (  # settings that `vae.captioner` needs, beside what follows from the data
    "activation", "switch_hidden", "code_hidden", "reading", "estimator", "cell", "units", "decoding", "beams",
    "length_power", "longest",
)  # fmt: skip
FROZEN_STEPS = 1_000  # steps of the caption model on frozen codes, where ξ = 0


class CaptionSystemSettings(VariationalSettings, CaptionSettings):
    """Sections `vae` and `captions` of params.yaml, and the system's own."""


class CaptionLearner(RecurrentDescriber, VariationalLearner[CaptionSystemSettings]):
    """Learns from all images, and from one caption of each captioned image, drawn anew in each step."""

    averages: Sequence[int] = ()

    def __init__(self, task: Task, settings: CaptionSystemSettings) -> None:
        assert task.captions is not None
        self.captions = task.captions
        self.label_learning_rate = settings.caption_learning_rate
        super().__init__(task, settings, lambda size: settings.caption_model(size, self.captions))

    @property
    def outcomes(self) -> float:
        """The number that "auto" divides by to find ξ: T, the mean number of words of the available captions."""
        return self.captions.mean_words(self.task.labelled)

    def labels(self, labelled: np.ndarray, stream: Stream) -> np.ndarray:
        """Returns a caption of each image, as numbers of words [n, L], padded."""
        return self.captions.drawn(labelled, torch.rand(len(labelled), generator=stream.host).double().numpy())

    @property
    def caption_settings(self) -> CaptionSettings:
        return self.settings

    @property
    def caption_model(self) -> CaptionModel:
        model = self.model.label_model
        assert isinstance(model, CaptionModel)
        return model

    def codes(self, images: Tensor, draws: int) -> Tensor:
        self.model.eval()
        with self._stream("predict"):
            return torch.stack(list(codes(self.model, images, draws)))

    def finish(self) -> None:
        """Fits the caption model to codes of the trained encoder, where ξ = 0 left the captions out of training."""
        if not self.label_weight:
            self.fit_captions(FROZEN_STEPS)

    def fit_captions(self, steps: int) -> None:
        """Trains the caption model alone, on codes drawn anew in each step; its rate falls to zero along a cosine."""
        mean, sigma = self._frozen()
        model, labelled = self.caption_model.train(), self.task.labelled
        optimizer = torch.optim.Adam(model.parameters(), lr=self.settings.caption_learning_rate)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        rng = np.random.default_rng(seed_of("frozen captions", **self.task.axes))
        with self._stream("captions"):  # dropout and noise
            for _ in range(steps):
                chosen = rng.integers(len(labelled), size=self.settings.labelled_batch)
                captions = self.captions.drawn(labelled[chosen], rng.random(len(chosen)))
                code = mean[..., chosen] + sigma[..., chosen] * torch.randn_like(sigma[..., chosen])
                loss = -model.log_likelihood(code, torch.from_numpy(captions).to(code.device)).mean()
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()

    @torch.no_grad()
    def _frozen(self) -> tuple[Tensor, Tensor]:
        """Returns mean and standard deviation of the captioned images' codes, each [K_L, m, n]."""
        self.model.eval()
        store, device = self.task.store, self.task.device
        parts = batches(store, self.task.labelled, ENCODED)
        encodings = [self.model.encode(store.batch(part, device)) for part in parts]
        sigma = torch.cat([each.log_sigma for each in encodings], dim=2).exp()
        return torch.cat([each.mean for each in encodings], dim=2), sigma

    def captioner(self) -> Mapping[str, Any]:
        """Returns the description that `vae.captioner.Captioner` takes."""
        settings, model = self.settings, self.model
        return {
            "architecture": asdict(model.architecture),
            **{name: getattr(settings, name) for name in DESCRIBED},
            "draws": settings.caption_draws,
            "word_size": self.caption_model.words.shape[1],
            "words": list(self.captions.vocabulary.words),
        }


@register
class CaptionSystem(VariationalSystem[CaptionSystemSettings]):
    """Eq (1): ξ weighs the captions' log-likelihood against the images' bound."""

    name = "caption"
    version = 3
    shares = ("vae", "captions")
    learns = CAPTIONS
    spreads = False  # not tried
    Settings = CaptionSystemSettings

    def learner(self, task: Task, settings: CaptionSystemSettings) -> CaptionLearner:
        """Returns a learner at epoch 0."""
        return CaptionLearner(task, settings)

    def stacks(self, *_: Any) -> bool:
        """Returns False: PyTorch's recurrent cells do not run under `torch.vmap`."""
        return False
