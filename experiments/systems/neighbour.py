"""Nearest neighbours in code space: the autoencoder learns from images alone, and an image gets a neighbour's caption.

The candidates are the captions of the image's k nearest captioned images. The one that is most like the others is
chosen: the consensus caption of Devlin et al. (2015), "Exploring nearest neighbor approaches for image captioning". Two
captions are as similar as the mean cosine of their counts of n-grams, n from 1 to 4.
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
from experiments.learning.variational import ENCODED, VariationalLearner, VariationalSettings
from experiments.learning.variational_system import VariationalSystem
from vae.caption_model import PADDING
from vae.caption_search import GeneratedCaptions

LONGEST_GRAM = 4  # words in the longest n-gram that is counted


class NeighbourSettings(VariationalSettings):
    """Section `vae` of params.yaml and the system's own."""

    neighbours: int = Field(ge=1, le=1_000, description="captioned images whose captions are considered")


def consensus(captions: Sequence[Sequence[str]]) -> int:
    """Returns the index of the caption, each given as its words, that is most like the others; of equals the first."""
    similarity = np.zeros((len(captions), len(captions)))
    for length in range(1, LONGEST_GRAM + 1):
        grams = [Counter(_grams(caption, length)) for caption in captions]
        columns = {gram: column for column, gram in enumerate(dict.fromkeys(gram for each in grams for gram in each))}
        counts = np.zeros((len(captions), max(1, len(columns))))
        for row, each in enumerate(grams):
            counts[row, [columns[gram] for gram in each]] = list(each.values())
        counts /= np.maximum(np.linalg.norm(counts, axis=1, keepdims=True), 1e-12)
        similarity += counts @ counts.T
    # Rounded: equal captions must tie, in whatever order the products were summed.
    return int(np.round(similarity.sum(1), 9).argmax())


def _grams(words: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    """Yields the n-grams of that length, from left to right."""
    return (tuple(words[start : start + length]) for start in range(len(words) - length + 1))


class NeighbourLearner(Describer, VariationalLearner[NeighbourSettings]):
    """Trains on images alone; captions are used only when an image is captioned."""

    averages: Sequence[int] = ()

    def __init__(self, task: Task, settings: NeighbourSettings) -> None:
        assert task.captions is not None
        self.captions = task.captions
        # At ξ = 0 the label model is never called, so one without weights or methods will do.
        super().__init__(replace(task, xi=0.0), settings, lambda size: nn.Module())  # type: ignore[arg-type, return-value]
        self.xi_value, self.answers = None, True
        self._bank: Tensor | None = None  # mean codes of the captioned images, [n, D], under the present weights

    @property
    def outcomes(self) -> float:
        """Any number: ξ is 0 and not "auto"."""
        return 1.0

    def epoch(self, epoch: int) -> Iterator[Mapping[str, float | Tensor]]:
        self._bank = None
        return super().epoch(epoch)

    def finish(self) -> None:
        """Encodes the captioned images with the trained encoder, so that the first test image need not wait."""
        self._bank = self._encoded_bank()

    def restore(self, state: Mapping[str, Any]) -> None:
        self._bank = None
        super().restore(state)

    @torch.no_grad()
    def _mean_codes(self, images: Tensor) -> Tensor:
        """Returns the mean codes of images, [b, D]."""
        self.model.eval()
        return self.model.encode_by_expectation(images).mean.flatten(0, 1).T

    def _encoded_bank(self) -> Tensor:
        """Returns the mean codes of all captioned images, [n, D]."""
        store, device = self.task.store, self.task.device
        parts = batches(store, self.task.labelled, ENCODED)
        return torch.cat([self._mean_codes(store.batch(part, device)) for part in parts])

    @torch.no_grad()
    def describe(self, images: Tensor, quick: bool = False) -> GeneratedCaptions:
        task = self.task
        if self._bank is None:
            self._bank = self._encoded_bank()
        count = min(self.settings.neighbours, len(task.labelled))
        distances = torch.cdist(self._mean_codes(images), self._bank)
        nearest = distances.topk(count, dim=1, largest=False).indices.cpu().numpy()
        chosen = [self._caption_of(task.labelled[row]) for row in nearest]
        longest = max(len(caption) for caption, _ in chosen)
        rows = [np.pad(caption, (0, longest - len(caption)), constant_values=PADDING) for caption, _ in chosen]
        return GeneratedCaptions(torch.from_numpy(np.stack(rows)), None, [text for _, text in chosen])

    def _caption_of(self, neighbours: np.ndarray) -> tuple[np.ndarray, str]:
        """Returns the consensus caption of some images, as numbers of words and as it was written."""
        texts = [text for of_image in self.captions.references(neighbours) for text in of_image]
        chosen = consensus([words(text) for text in texts])
        caption = self.captions.every(neighbours)[0][chosen]
        return caption[caption != PADDING], texts[chosen]


@register
class NeighbourSystem(VariationalSystem[NeighbourSettings]):
    """The baseline of `caption` that learns from images without a model of captions."""

    name = "neighbour"
    version = 3
    uses_xi = False
    learns = CAPTIONS
    spreads = False  # not tried
    Settings = NeighbourSettings

    def learner(self, task: Task, settings: NeighbourSettings) -> NeighbourLearner:
        """Returns a learner at epoch 0."""
        return NeighbourLearner(task, settings)

    def stacks(self, *_: Any) -> bool:
        """Returns False: a stack runs the program with labels."""
        return False
