"""The identity of a trial: a hash of everything that its result depends on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

LENGTH = 16  # hexadecimal digits: 64 bits, so two of a million trials share one with probability 3e-8


def canonical(value: Any) -> str:
    """Returns a plain value as JSON in one canonical form: keys sorted, no spaces, floats by repr.

    Raises ValueError for a number that is not finite, TypeError for a value that JSON does not have.
    """
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def digest(value: Any) -> str:
    """Returns the first 16 hexadecimal digits of the SHA-256 of a plain value in canonical form."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:LENGTH]


def identity(trial: Mapping[str, Any], *, data: str, split: str, version: int) -> str:
    """Returns the identity of a trial, 16 hexadecimal digits.

    Args:
        trial: dataset, system, proportion, xi, seed and the system's settings, as `hashed_settings` returns them.
        data: fingerprint of the prepared images and labels.
        split: fingerprint of the parts and of the labelled subset that the trial reads.
        version: the system's version, which is raised whenever its results would change.
    """
    return digest({"trial": trial, "data": data, "split": split, "version": version})


def plain_settings(settings: BaseModel) -> dict[str, Any]:
    """Returns all settings as plain values.

    A search names its study by trials whose searched settings are None, so values of another type pass without
    a warning.
    """
    return settings.model_dump(mode="json", warnings=False)


def hashed_settings(settings: BaseModel) -> dict[str, Any]:
    """Returns the settings that enter a trial's identity: all but those at the default that their class declares.

    A setting that is added with a default therefore leaves the identity of every trial that does not use it.
    """
    fields = type(settings).model_fields
    return {name: value for name, value in plain_settings(settings).items() if value != fields[name].default}
