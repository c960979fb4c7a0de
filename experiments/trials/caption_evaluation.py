"""Evaluation of a captioning learner.

Its captions are scored against the references, which are the captions that people wrote. Beside the scores stand the
perplexity of the references and the terms of the learner's bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch

from data.prepared.store import batches
from experiments.learning.caption_batches import Captions
from experiments.learning.caption_learner import Describer
from experiments.learning.contract import Learner, Task
from experiments.learning.device import now
from experiments.trials.caption_scores import java, scores
from experiments.trials.judge import Judge

LARGEST = 700.0  # nats a word, beyond which a perplexity exceeds the range of a float


@dataclass
class _Tally:
    """The captions that a learner gave to images, and how likely the references were."""

    images: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    log_likelihoods: list[float | None] = field(default_factory=list)  # of the texts, in nats
    lengths: list[int] = field(default_factory=list)  # words of the texts, counting the end of the sentence
    reference_nats: list[float] = field(default_factory=list)  # log p of all references of an image together
    reference_words: list[int] = field(default_factory=list)  # words of all references of an image

    def perplexity(self, chosen: Sequence[int]) -> float | None:
        """Returns exp of the mean −log p of a reference's word over the chosen images; None without likelihoods."""
        if not self.reference_nats:
            return None
        words = sum(self.reference_words[index] for index in chosen)
        mean = -sum(self.reference_nats[index] for index in chosen) / words
        return math.exp(min(mean, LARGEST))


class CaptionJudge(Judge):
    """Evaluates learners of images with captions."""

    measure: ClassVar[str] = "cider"
    most: ClassVar[int] = 500  # captioning an image takes much longer than classifying it

    def validated(self, learner: Learner, task: Task, indices: np.ndarray | None = None) -> dict[str, float]:
        """Returns `cider`, `bleu4` and `perplexity` of quickly made captions, and the terms of the bound.

        At most `most` images are looked at, evenly spread. Where the caption model is not trained yet (ξ = 0), the
        terms of the bound are all there is.
        """
        chosen = task.validation if indices is None else indices
        some = chosen[np.linspace(0, len(chosen) - 1, min(self.most, len(chosen))).astype(int)]
        tally, bound, _ = _describe(learner, task, some, quick=True)
        if not learner.answers:
            return bound
        values = scores(tally.texts, _captions(task).references(some), meteor=False)
        perplexity = tally.perplexity(range(len(some)))
        measures = {"cider": values["cider"], "bleu4": values["bleu4"], "perplexity": perplexity}
        return {**{name: value for name, value in measures.items() if value is not None}, **bound}

    def tested(self, learner: Learner, task: Task, test: np.ndarray) -> dict[str, Any]:
        """Returns every score, `perplexity`, the terms of the bound, and under `said` all captions of test images.

        `subsets` holds the same scores for parts of the test images: `same` are images all of whose references are
        also captions of training images, word for word, and `unseen` are the others.
        """
        tally, bound, seconds = _describe(learner, task, test, quick=False)
        whole = _scored(tally, task, range(len(test)))
        familiar = np.array([_captions(task).familiar(image) for image in test])
        subsets = {"same": np.flatnonzero(familiar).tolist(), "unseen": np.flatnonzero(~familiar).tolist()}
        return {
            **whole,
            "subsets": [
                {
                    "subset": name,
                    "images": len(chosen),
                    **(whole if len(chosen) == len(test) else _scored(tally, task, chosen)),
                }
                for name, chosen in subsets.items()
                if chosen
            ],
            "said": _caption_rows(tally, familiar.tolist()),
            "elbo": bound.get("elbo"),
            "kl_switches": bound.get("kl_switches"),
            "test_ms_per_image": 1000 * seconds / len(test),
        }


def _captions(task: Task) -> Captions:
    """Returns the captions of the task's dataset, which this judge is only asked about where it has some."""
    assert task.captions is not None
    return task.captions


def _caption_rows(tally: _Tally, familiar: Sequence[bool]) -> list[dict[str, Any]]:
    """Returns one mapping for each test image, as the trial's folder keeps its caption."""
    return [
        {"image": image, "subset": "same" if known else "unseen", "text": text, "log_likelihood": nats, "words": words}
        for image, known, text, nats, words in zip(
            tally.images, familiar, tally.texts, tally.log_likelihoods, tally.lengths, strict=True
        )
    ]


def _scored(tally: _Tally, task: Task, chosen: Sequence[int]) -> dict[str, float | None]:
    """Returns all scores and the perplexity of the chosen images."""
    images = [tally.images[index] for index in chosen]
    texts = [tally.texts[index] for index in chosen]
    values = scores(texts, _captions(task).references(images), meteor=java() is not None)
    return {**values, "perplexity": tally.perplexity(chosen)}


def _describe(learner: Learner, task: Task, indices: np.ndarray, quick: bool) -> tuple[_Tally, dict[str, float], float]:
    """Has the learner caption images: the captions, the means of the bound's terms, and the seconds of captioning."""
    assert isinstance(learner, Describer)
    tally, seconds = _Tally(), 0.0
    terms: dict[str, list[torch.Tensor]] = {}
    for chosen in batches(task.store, indices):
        images = task.store.batch(chosen, task.device)
        if learner.answers or not quick:
            started = now(task.device)
            described = learner.describe(images, quick)
            seconds += now(task.device) - started
            tally.images += chosen.tolist()
            tally.texts += described.texts or [
                _captions(task).vocabulary.decode(row) for row in described.words.tolist()
            ]
            tally.lengths += described.lengths.tolist()
            nats = described.log_likelihood
            tally.log_likelihoods += [None] * len(chosen) if nats is None else nats.tolist()
            _add_references(tally, learner, task, chosen, images, quick)
        for name, values in learner.bound(images).items():
            terms.setdefault(name, []).append(values.detach().double().cpu())
    return tally, {name: torch.cat(values).mean().item() for name, values in terms.items()}, seconds


def _add_references(
    tally: _Tally, learner: Describer, task: Task, chosen: np.ndarray, images: torch.Tensor, quick: bool
) -> None:
    """Adds how likely the images' references are, where the learner has a likelihood."""
    captions, owner = _captions(task).every(chosen)
    likelihoods = learner.log_likelihoods(
        images, torch.from_numpy(captions).to(task.device), torch.from_numpy(owner).to(task.device), quick
    )
    if likelihoods is not None:
        nats = np.bincount(owner, likelihoods.double().cpu().numpy(), len(chosen))
        words = np.bincount(owner, (captions >= 0).sum(1), len(chosen))
        tally.reference_nats += nats.tolist()
        tally.reference_words += words.astype(int).tolist()
