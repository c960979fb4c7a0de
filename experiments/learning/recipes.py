"""Recipes: what a training step learns from, before any image is read.

A recipe names images by their indices. `gathered` reads and changes them for one trial, `gathered_together` for a stack
of trials at once.
"""

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

# The fields of `vae.model.Batch` by name: `Picked` for images, arrays for labels, numbers, and mappings of these.
Recipe = Mapping[str, Any]


@dataclass(frozen=True)
class Picked:
    """Images of the store by their indices, and the random numbers that they are changed by."""

    indices: np.ndarray
    changes: Changes | None = None


def gathered(recipe: Recipe, task: Task, augmentation: Augmentation) -> dict[str, Any]:
    """Returns the recipe with images and labels as tensors on the task's device; numbers stay numbers."""
    return _mapped([recipe], partial(_one_trial, task=task, augmentation=augmentation))


def gathered_together(recipes: Sequence[Recipe], task: Task, augmentation: Augmentation) -> dict[str, Any]:
    """Returns the recipes of T trials on the same dataset as one, all of it as tensors [T, …].

    The images of all trials are read and changed at once.
    """
    return _mapped(recipes, partial(_all_trials, task=task, augmentation=augmentation))


def _mapped(recipes: Sequence[Recipe], make: Callable[[list[Any]], Any]) -> dict[str, Any]:
    """Returns, under each name, what `make` returns for the values that the recipes have under it."""
    parts = {name: [recipe[name] for recipe in recipes] for name in recipes[0]}
    return {
        name: _mapped(values, make) if isinstance(values[0], Mapping) else make(values)
        for name, values in parts.items()
    }


def _images(picked: Picked, task: Task, augmentation: Augmentation) -> Tensor:
    return augmentation.changed(task.store.batch(picked.indices, task.device), picked.changes)


def _one_trial(values: list[Any], task: Task, augmentation: Augmentation) -> Any:
    (value,) = values
    if isinstance(value, Picked):
        return _images(value, task, augmentation)
    return torch.from_numpy(value).to(task.device) if isinstance(value, np.ndarray) else value


def _all_trials(values: list[Any], task: Task, augmentation: Augmentation) -> Tensor:
    if isinstance(values[0], Picked):
        changes = None if values[0].changes is None else Changes.joined([each.changes for each in values])
        whole = Picked(np.concatenate([each.indices for each in values]), changes)
        return _images(whole, task, augmentation).unflatten(0, (len(values), -1))
    if isinstance(values[0], np.ndarray):
        return torch.from_numpy(np.stack(values)).to(task.device)
    return torch.tensor(values, device=task.device)
