"""What a training step is made from, before any image is read: for one trial, or for a stack of them in one go."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from experiments.learning.augmentation import Augmentation, Changes
from experiments.learning.contract import Task

Recipe = Mapping[str, Any]  # the fields of `vae.model.Batch` by name, `Picked` for images and arrays for labels


@dataclass(frozen=True)
class Picked:
    """Images of the store by their indices, and what was drawn to change them by."""

    indices: np.ndarray
    changes: Changes | None = None


def gathered(recipe: Recipe, task: Task, augmentation: Augmentation) -> dict[str, Any]:
    """The recipe with its images and labels as tensors on the task's device; numbers stay what they are."""
    return _mapped([recipe], partial(_of_one, task=task, augmentation=augmentation))


def gathered_together(recipes: Sequence[Recipe], task: Task, augmentation: Augmentation) -> dict[str, Any]:
    """Those of T trials on the same images, all of it as tensors [T, …]: images are read and changed in one go."""
    return _mapped(recipes, partial(_of_all, task=task, augmentation=augmentation))


def _mapped(recipes: Sequence[Recipe], make: Callable[[list[Any]], Any]) -> dict[str, Any]:
    """`make` of what the recipes have under each name."""
    parts = {name: [recipe[name] for recipe in recipes] for name in recipes[0]}
    return {
        name: _mapped(values, make) if isinstance(values[0], Mapping) else make(values)
        for name, values in parts.items()
    }


def _images(picked: Picked, task: Task, augmentation: Augmentation) -> Tensor:
    return augmentation.changed(task.store.batch(picked.indices, task.device), picked.changes)


def _of_one(values: list[Any], task: Task, augmentation: Augmentation) -> Any:
    (value,) = values
    if isinstance(value, Picked):
        return _images(value, task, augmentation)
    return torch.from_numpy(value).to(task.device) if isinstance(value, np.ndarray) else value


def _of_all(values: list[Any], task: Task, augmentation: Augmentation) -> Tensor:
    if isinstance(values[0], Picked):
        changes = None if values[0].changes is None else Changes.joined([each.changes for each in values])
        whole = Picked(np.concatenate([each.indices for each in values]), changes)
        return _images(whole, task, augmentation).unflatten(0, (len(values), -1))
    if isinstance(values[0], np.ndarray):
        return torch.from_numpy(np.stack(values)).to(task.device)
    return torch.tensor(values, device=task.device)
