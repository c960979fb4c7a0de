"""The name of a trial: a hash of all that its result depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

LENGTH = 16  # hexadecimal digits: 64 bits, so two of a million trials share one with probability 3e-8


def canonical(value: Any) -> str:
    """JSON of a plain value that does not depend on the order of its keys: sorted, without spaces, floats by repr.

    Raises ValueError for a number that is not finite, TypeError for what JSON does not have.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def identity(trial: Mapping[str, Any], *, data: str, split: str, version: int) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of trial, fingerprints and version in canonical form.

    Args:
        trial: dataset, system, proportion, xi, seed and the system's settings, as `hashed_settings` gives them.
        data: fingerprint of the prepared images and labels.
        split: fingerprint of the parts and of the labelled subset that the trial reads.
        version: the system's; raised whenever its results would change.
    """
    return digest({"trial": trial, "data": data, "split": split, "version": version})


def hashed_settings(schema: type[BaseModel], settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that a trial is known by: all but those at the default that their schema declares.

    So a setting that is added with a default leaves every trial that does not use it its identity.
    """
    fields = schema.model_fields
    return {name: value for name, value in settings.items() if value != fields[name].default}


def digest(value: Any) -> str:
    """The first 16 hexadecimal digits of the SHA-256 of a plain value in canonical form."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:LENGTH]
