"""Where Optuna keeps what its public interface does not tell. A new release of Optuna may change it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.trial import FrozenTrial

FIXED = "fixed_params"  # Optuna's own attribute of trials whose values were given by `Study.enqueue_trial`


def enqueued_params(trial: FrozenTrial) -> Mapping[str, Any] | None:
    """Returns the values that a trial was enqueued with, or None where the sampler draws them."""
    return trial.system_attrs.get(FIXED)
