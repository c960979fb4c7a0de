"""Settings that are changed for one command: `--set KEY=VALUE`, which leaves params.yaml as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from data.errors import UserError
from experiments.settings.refusals import shown_key, shown_value
from experiments.settings.yaml_text import values_of


def parse(options: Iterable[str]) -> dict[str, Any]:
    """Reads options `KEY=VALUE` into values by dotted key; of two for one key, the later one counts.

    A value is YAML, as in params.yaml: `data.images=100`, `search.repetitions=[5, 6]`, `data.source=null`.

    Raises:
        UserError: an option has no key or no `=`, or its value is not YAML.
    """
    changes = {}
    for option in options:
        key, equals, text = option.partition("=")
        if not equals or not all(key.split(".")):
            raise UserError(f"--set {shown_key(option)}: write KEY=VALUE, for example --set data.images=100")
        try:
            changes[key] = values_of(text)
        except ValueError as error:
            raise UserError(f"--set {shown_key(key)}: {shown_value(text)} is not YAML: {error}") from None
    return changes


def applied(content: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the content of a params.yaml with some values replaced, each under its dotted key.

    Sections that the file leaves out are made. Whether the keys exist is for the schema to say.

    Raises:
        UserError: a key leads through a value that is not a section.
    """
    changed = dict(content)
    for key, value in changes.items():
        *sections, last = key.split(".")
        inner = changed
        for section in sections:
            below = inner.get(section)
            if below is not None and not isinstance(below, Mapping):
                found = f"{shown_key(section)} is {shown_value(below)}"
                raise UserError(f"--set {shown_key(key)}: {found} and not a section of settings")
            inner[section] = inner = dict(below or {})
        inner[last] = value
    return changed
