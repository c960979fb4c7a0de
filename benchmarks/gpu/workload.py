"""What the parts train: every system with fixed settings, on images that are drawn at random.

The settings are the benchmark's own, so that its numbers compare from one version of the project to the next. Sizes of
networks are those of params.yaml; no file is read.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from data.labelled.text import Texts, Vocabulary
from data.prepared.store import ImageStore
from experiments.learning.caption_batches import Captions
from experiments.learning.contract import CAPTIONS, SYSTEMS, Learner, Task
from vae.architecture import architecture_named

CLASSES, WORDS, LENGTH = 10, 200, 8
BATCHES = ("batch", "labelled_batch", "marginalised_batch", "unlabelled_batch")
PROPORTION = 0.5  # the labelled proportion ρ of every task

_EVERY = {"shift": 2.0, "rotation": 15.0, "zoom": 0.15, "warmup": 0.05, "epochs": 4}
SECTIONS: dict[str, dict[str, Any]] = {
    "vae": {
        **_EVERY,
        "architecture": None,
        "reading": "factorised",
        "estimator": "exact",
        "activation": "relu",
        "switch_hidden": 9,
        "code_hidden": 16,
        "log_alpha": None,
        "learning_rate": 0.004,
        "noise_learning_rate": 0.03,
        "switch_warmup": 0.4,
        "weight_decay": 0.01,
        "clip": 10.0,
        "draws": 0,
        "precision": 2.0,
        "xi_factor": 1.0,
    },
    "supervised": {**_EVERY, "learning_rate": 0.002, "weight_decay": 0.3, "width": 0.25, "dropout": 0.4},
    "captions": {
        "cell": "gru",
        "units": 512,
        "word_size": 300,
        "caption_dropout": 0.3,
        "caption_learning_rate": 0.004,
        "caption_draws": 0,
        "decoding": "greedy",
        "beams": 1,
        "length_power": 0.7,
        "longest": 20,
    },
}
OWN: dict[str, dict[str, Any]] = {
    "pseudo": {"confidence": 0.2, "unlabelled_weight": 1.0},
    "bsvm": {"gamma": 7.0},
    "tbsvm": {"gamma": 7.0, "marginalised_weight": 1.0, "marginalised_warmup": 0.5},
    "transductive-encoder": {"gamma": 7.0, "marginalised_weight": 1.0, "marginalised_warmup": 0.5},
    "encoder": {"gamma": 7.0},
    "ablation": {"gamma": 7.0},
    "cnn": {"averaging": 0.9},
    "mean-teacher": {"averaging": 0.9, "unlabelled_weight": 10.0, "rising": 0.4},
    "fixmatch": {"averaging": 0.9, "unlabelled_weight": 1.0, "confidence": 0.2},
    "freematch": {"averaging": 0.9, "unlabelled_weight": 1.0, "threshold_decay": 0.9, "fairness_weight": 0.01},
    "cnn-rnn": {"code_size": 128},
    "neighbour": {"neighbours": 5},
}


class RandomImages(ImageStore):
    """Images drawn at random; batches have PyTorch's default type, which may be float64.

    They are scaled on the CPU for every device: a GPU multiplies by 1/255 where a CPU divides by 255.
    """

    def batch(self, indices: npt.ArrayLike, device: str | torch.device = "cpu") -> Tensor:
        return super().batch(indices).to(device, torch.get_default_dtype())


def _store(row: str, count: int, captioned: bool) -> RandomImages:
    architecture = architecture_named(row)
    shape = (count, architecture.side, architecture.side, architecture.channels)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    labels = np.full(count, -1) if captioned else np.arange(count) % CLASSES
    classes = () if captioned else tuple(map(str, range(CLASSES)))
    return RandomImages(architecture.datasets[0], images, labels, classes, "random")


class RandomCaptions(Captions):
    """One caption of LENGTH words for each of `count` images, as numbers of words drawn at random."""

    def __init__(self, count: int) -> None:
        words = tuple(map(str, range(WORDS)))
        self.vocabulary, self.vectors = Vocabulary(words, (1,) * WORDS, 1), None
        numbers = np.random.default_rng(1).integers(2, WORDS, (count, LENGTH), dtype=np.int32)
        numbers[:, -1] = 0  # the end
        self._texts = Texts(numbers.ravel(), np.arange(count + 1) * LENGTH, np.arange(count + 1))


def learner(system: str, device: torch.device, *, row: str, batch: int, steps: int, **changes: Any) -> Learner:
    """Returns a learner at epoch 0, the same one on every device.

    Args:
        system: its name.
        device: where it trains.
        row: of Table 2, whose images and, for autoencoders, networks it has.
        batch: images in a step; as many labelled ones.
        steps: of an epoch.
        changes: of its settings.
    """
    kind = SYSTEMS.get(system)
    values: dict[str, Any] = dict.fromkeys(BATCHES, batch) | {"updates": _EVERY["epochs"] * steps}
    for section in kind.shares:
        values |= SECTIONS[section]
    values |= {**OWN.get(system, {}), **changes}
    known = {name: value for name, value in values.items() if name in kind.Settings.model_fields}
    count = batch * steps
    captioned = kind.learns == CAPTIONS
    every = np.arange(count)
    task = Task(
        store=_store(row, count, captioned),
        train=every,
        labelled=every[: max(2, int(count * PROPORTION))],
        validation=every,
        proportion=PROPORTION,
        xi="auto" if kind.uses_xi else None,
        seed=0,
        axes={"dataset": architecture_named(row).datasets[0], "system": system, "proportion": PROPORTION, "seed": 0},
        device=device,
        captions=RandomCaptions(count) if captioned else None,
    )
    return kind.learner(task, kind.Settings.model_validate(known))


def rows_of(system: str) -> str:
    """Returns the row of Table 2 that a system is tried on: the smallest for labels, a row of captions' for those."""
    return "cifar-10" if SYSTEMS.get(system).learns == CAPTIONS else "mnist"
