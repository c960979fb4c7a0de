"""What a learner is worth on images: accuracies, the terms of its bound, and the time a prediction takes."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from data.store import ImageStore
from experiments.systems.contract import Learner

BATCH = 500  # images, at most
VALUES = 4_000_000  # in a batch of images, at most: 20 images of 256 × 256 × 3


def batches(store: ImageStore, indices: np.ndarray) -> Iterator[np.ndarray]:
    """`indices` in runs that fit the memory; always the same runs for the same images."""
    size = max(1, min(BATCH, VALUES // math.prod(store.shape)))
    return (indices[start : start + size] for start in range(0, len(indices), size))


def now(device: torch.device) -> float:
    """Seconds on a steady clock, once the device has done all it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


def evaluate(learner: Learner, store: ImageStore, indices: np.ndarray, device: torch.device) -> dict[str, float]:
    """Means over the images of those indices.

    Returns `top1` and `top5` (percent of images whose label is the most probable class, or among the
    min(5, C) most probable), `ms_per_image` (of prediction alone), and every term of the learner's bound (`elbo`,
    `kl_switches`, …: nats per image) where it has one.
    """
    hits, seconds = torch.zeros(2, dtype=torch.long), 0.0
    terms: dict[str, list[Tensor]] = {}
    for chosen in batches(store, indices):
        images = store.batch(chosen, device)
        started = now(device)
        probabilities = learner.predict(images)
        seconds += now(device) - started
        hits += _hits(probabilities.cpu(), torch.from_numpy(store.labels[chosen]))
        for name, values in learner.bound(images).items():
            terms.setdefault(name, []).append(values.detach().double().cpu())
    top1, top5 = (100.0 * count / len(indices) for count in hits.tolist())
    bound = {name: torch.cat(values).mean().item() for name, values in terms.items()}
    return {"top1": top1, "top5": top5, "ms_per_image": 1000 * seconds / len(indices), **bound}


def _hits(probabilities: Tensor, labels: Tensor) -> Tensor:
    """How many labels are the first, and among the first five, int64 [2]."""
    best = probabilities.topk(min(5, probabilities.shape[1]), dim=1).indices == labels[:, None]
    return torch.stack([best[:, 0].sum(), best.any(1).sum()])
