"""The name of a trial: a hash of all that its result depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

LENGTH = 16  # hexadecimal digits: 64 bits, so two of a million trials share one with probability 3e-8


def canonical(value: Any) -> str:
    """JSON of a plain value that does not depend on the order of its keys: sorted, without spaces, floats by repr.

    Raises ValueError for a number that is not finite, TypeError for what JSON does not have.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def identity(trial: Mapping[str, Any], *, data: str, split: str, version: int) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of trial, fingerprints and version in canonical form.

    Args:
        trial: dataset, system, proportion, xi, seed and the system's settings.
        data: fingerprint of the prepared images and labels.
        split: fingerprint of the parts and of the labelled subset that the trial reads.
        version: the system's; raised whenever its results would change.
    """
    return digest({"trial": trial, "data": data, "split": split, "version": version})


def digest(value: Any) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a plain value in canonical form."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:LENGTH]
