"""What a captioning learner is worth: scores of what it says, the likelihood of what people said, its bound's terms."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from data.prepared.store import batches
from experiments.learning.caption_learner import Describer
from experiments.learning.contract import Learner, Task
from experiments.learning.device import now
from experiments.trials.caption_scores import java, scores

MEASURE = "cider"  # the validation measure that settings are searched by
LARGEST = 700.0  # nats a word, beyond which a perplexity is no number any more
MOST = 500  # validation images, at most, that captions are said for after every epoch


@dataclass
class _Tally:
    """What was said of images, and how likely their references were."""

    images: list[int] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    log_likelihoods: list[float | None] = field(default_factory=list)  # of the texts, in nats
    lengths: list[int] = field(default_factory=list)  # words of the texts, their end among them
    reference_nats: list[float] = field(default_factory=list)  # log p of all of an image's references together
    reference_words: list[int] = field(default_factory=list)

    def perplexity(self, chosen: Sequence[int]) -> float | None:
        """exp of the mean −log p of a reference's word, over those images; None where there is no likelihood."""
        if not self.reference_nats:
            return None
        words = sum(self.reference_words[index] for index in chosen)
        mean = -sum(self.reference_nats[index] for index in chosen) / words
        return math.exp(min(mean, LARGEST))


def validated(learner: Learner, task: Task, indices: np.ndarray | None = None) -> dict[str, float]:
    """Validation measures by name: `cider`, `bleu4` and `perplexity` of quickly said captions, and the bound's terms.

    Of at most MOST images, evenly spread. Where the caption model is not trained yet (ξ = 0), the bound's terms alone.
    """
    chosen = task.validation if indices is None else indices
    some = chosen[np.linspace(0, len(chosen) - 1, min(MOST, len(chosen))).astype(int)]
    tally, bound, _ = _told(learner, task, some, quick=True)
    if learner.selects_by == "elbo":
        return bound
    found = scores(tally.texts, task.captions.references(some), meteor=False)
    perplexity = tally.perplexity(range(len(some)))
    measures = {"cider": found["cider"], "bleu4": found["bleu4"], "perplexity": perplexity}
    return {**{name: value for name, value in measures.items() if value is not None}, **bound}


def tested(learner: Learner, task: Task, test: np.ndarray) -> dict[str, Any]:
    """What the test part says, read this once: every score, `perplexity`, the bound's terms, and all captions `said`.

    The same scores for each of the `subsets`: `same` are images all of whose references are captions of training
    images too, word for word, `unseen` the others.
    """
    tally, bound, seconds = _told(learner, task, test, quick=False)
    whole = _scored(tally, task, range(len(test)))
    familiar = np.array([task.captions.familiar(image) for image in test])
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
        "said": [
            {
                "image": image,
                "subset": "same" if known else "unseen",
                "text": text,
                "log_likelihood": nats,
                "words": words,
            }
            for image, known, text, nats, words in zip(
                tally.images, familiar.tolist(), tally.texts, tally.log_likelihoods, tally.lengths, strict=True
            )
        ],
        "elbo": bound.get("elbo"),
        "kl_switches": bound.get("kl_switches"),
        "test_ms_per_image": 1000 * seconds / len(test),
    }


def _scored(tally: _Tally, task: Task, chosen: Sequence[int]) -> dict[str, float | None]:
    images = [tally.images[index] for index in chosen]
    texts = [tally.texts[index] for index in chosen]
    found = scores(texts, task.captions.references(images), meteor=java() is not None)
    return {**found, "perplexity": tally.perplexity(chosen)}


def _told(learner: Learner, task: Task, indices: np.ndarray, quick: bool) -> tuple[_Tally, dict[str, float], float]:
    """What the learner says of those images, the means of its bound's terms, and the seconds that saying it took."""
    assert isinstance(learner, Describer)
    tally, terms, seconds = _Tally(), {}, 0.0
    for chosen in batches(task.store, indices):
        images = task.store.batch(chosen, task.device)
        if learner.selects_by != "elbo" or not quick:
            started = now(task.device)
            said = learner.describe(images, quick)
            seconds += now(task.device) - started
            tally.images += chosen.tolist()
            tally.texts += said.texts or [task.captions.vocabulary.decode(row) for row in said.words.tolist()]
            tally.lengths += said.lengths.tolist()
            nats = said.log_likelihood
            tally.log_likelihoods += [None] * len(chosen) if nats is None else nats.tolist()
            _add_references(tally, learner, task, chosen, images, quick)
        for name, values in learner.bound(images).items():
            terms.setdefault(name, []).append(values.detach().double().cpu())
    return tally, {name: torch.cat(values).mean().item() for name, values in terms.items()}, seconds


def _add_references(
    tally: _Tally, learner: Describer, task: Task, chosen: np.ndarray, images: torch.Tensor, quick: bool
) -> None:
    """How likely the images' own captions are, where the learner can say."""
    captions, owner = task.captions.every(chosen)
    found = learner.log_likelihoods(
        images, torch.from_numpy(captions).to(task.device), torch.from_numpy(owner).to(task.device), quick
    )
    if found is not None:
        nats = np.bincount(owner, found.double().cpu().numpy(), len(chosen))
        words = np.bincount(owner, (captions >= 0).sum(1), len(chosen))
        tally.reference_nats += nats.tolist()
        tally.reference_words += words.astype(int).tolist()
