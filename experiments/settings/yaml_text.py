"""YAML as DVC reads it, and what is wrong with a text that is none."""

from __future__ import annotations

from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from experiments.settings.refusals import one_line


def values_of(text: str) -> Any:
    """Returns a YAML text as plain values. ValueError, with the reason in one line, where it is none."""
    # ruamel.yaml, not PyYAML: DVC reads with it too, so both see the same numbers (1e-3 is one in YAML 1.2 only).
    try:
        return YAML(typ="safe", pure=True).load(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    # Beside its own error, what Python says of a date with a thirteenth month, a number of 5,000 digits, and the like.
    except (YAMLError, ValueError, TypeError, ArithmeticError, LookupError, AttributeError) as error:
        raise ValueError(one_line(str(error)) or type(error).__name__) from None
