"""Nearest neighbours in code space: the autoencoder learns from images alone, and lends captions of the nearest ones.

Of the captions of an image's k nearest captioned images the one is lent that is most like the others: the consensus of
Devlin et al. (2015), "Exploring nearest neighbor approaches for image captioning", with the mean cosine of counts of
runs of one to four words for likeness.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from data.prepared.store import batches
from data.tokens import words
from experiments.learning.caption_learner import Describer
from experiments.learning.contract import CAPTIONS, Task, register
from experiments.learning.stacking import VariationalSystem
from experiments.learning.variational import CODED, VariationalLearner, VariationalSettings
from vae.caption_model import PADDING
from vae.caption_search import GeneratedCaptions

RUNS = 4  # words in the longest run that is counted


class Settings(VariationalSettings):
    """Section `vae` of params.yaml, and the system's own."""

    neighbours: int = Field(ge=1, le=1_000, description="captioned images whose captions are considered")


def consensus(captions: Sequence[Sequence[str]]) -> int:
    """Which of the captions, each as its words, is most like the others; of equals the first."""
    likeness = np.zeros((len(captions), len(captions)))
    for length in range(1, RUNS + 1):
        counted = [Counter(_runs(caption, length)) for caption in captions]
        columns = {run: column for column, run in enumerate(dict.fromkeys(run for each in counted for run in each))}
        counts = np.zeros((len(captions), max(1, len(columns))))
        for row, each in enumerate(counted):
            counts[row, [columns[run] for run in each]] = list(each.values())
        counts /= np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-12)
        likeness += counts @ counts.T
    # Rounded: equal captions must come out equal, in whatever order the products were summed.
    return int(np.round(likeness.sum(1), 9).argmax())


def _runs(words: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    return (tuple(words[start : start + length]) for start in range(len(words) - length + 1))


class NeighbourLearner(Describer, VariationalLearner):
    """Trains on images alone; captions only come in when an image is described."""

    averages = ()

    def __init__(self, task: Task, settings: Settings) -> None:
        assert task.captions is not None
        self.captions = task.captions
        super().__init__(replace(task, xi=0.0), settings, lambda size: nn.Module())
        self.xi_value, self.selects_by = None, "cider"
        self._coded: Tensor | None = None  # mean codes of the captioned images, [n, D], of the present weights

    @property
    def outcomes(self) -> float:
        """Nothing is divided by it: ξ is 0."""
        return 1.0

    def epoch(self, epoch: int) -> Iterator[Mapping[str, float | Tensor]]:
        self._coded = None
        return super().epoch(epoch)

    def finish(self) -> None:
        """Codes the captioned images by the best epoch's weights, so that no test image has to wait for it."""
        self._coded = self._bank()

    def restore(self, state: Mapping[str, Any]) -> None:
        self._coded = None
        super().restore(state)

    @torch.no_grad()
    def _codes(self, images: Tensor) -> Tensor:
        self.model.eval()
        return self.model.encoder(images).mean.flatten(0, 1).T

    def _bank(self) -> Tensor:
        store, device = self.task.store, self.task.device
        return torch.cat([self._codes(store.batch(part, device)) for part in batches(store, self.task.labelled, CODED)])

    @torch.no_grad()
    def describe(self, images: Tensor, quick: bool = False) -> GeneratedCaptions:
        task = self.task
        if self._coded is None:
            self._coded = self._bank()
        count = min(self.settings.neighbours, len(task.labelled))
        nearest = torch.cdist(self._codes(images), self._coded).topk(count, dim=1, largest=False).indices.cpu().numpy()
        lent = [self._lent(task.labelled[row]) for row in nearest]
        longest = max(len(caption) for caption, _ in lent)
        rows = [np.pad(caption, (0, longest - len(caption)), constant_values=PADDING) for caption, _ in lent]
        return GeneratedCaptions(torch.from_numpy(np.stack(rows)), None, [text for _, text in lent])

    def _lent(self, neighbours: np.ndarray) -> tuple[np.ndarray, str]:
        """A caption of one of those images, as numbers and as it was written."""
        texts = [text for of_image in self.captions.references(neighbours) for text in of_image]
        chosen = consensus([words(text) for text in texts])
        caption = self.captions.every(neighbours)[0][chosen]
        return caption[caption != PADDING], texts[chosen]


@register
class NeighbourSystem(VariationalSystem):
    """What uncaptioned images teach without a model of captions."""

    name = "neighbour"
    version = 1
    uses_xi = False
    learns = CAPTIONS
    spreads = False  # not tried
    Settings = Settings

    def learner(self, task: Task, settings: Settings) -> NeighbourLearner:
        """A learner at epoch 0."""
        return NeighbourLearner(task, settings)

    def stacks(self, *_: Any) -> bool:
        """Without labels the program is another one than a stack runs."""
        return False
