"""What is wrong with settings, worded for a user: the path of the key, its value and what is allowed."""

from __future__ import annotations

import difflib
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from data.secrets import masked

KeyPath = tuple[str | int, ...]  # keys of mappings and indices of lists, from the top of the file down
LONGEST_VALUE = 60  # characters of a value, or of a key, that a message shows
LONGEST_LINE = 600  # characters of a line about one mistake
MOST_MISTAKES = 20  # that one message names


def refusal(origin: str, mistakes: Sequence[str]) -> str:
    """Returns one message about all mistakes; `origin` names the file they are in."""
    lines = [one_line(mistake) for mistake in mistakes]
    if len(lines) == 1:
        return f"{origin}: {lines[0]}"
    more = [f"and {len(lines) - MOST_MISTAKES} others"] if len(lines) > MOST_MISTAKES else []
    return f"{origin} has {len(lines)} mistakes:" + "".join(f"\n  {line}" for line in lines[:MOST_MISTAKES] + more)


def finding_text(schema: type[BaseModel], finding: Mapping[str, Any], section: KeyPath = ()) -> str:
    """Words one of the findings of pydantic's `ValidationError.errors()`.

    Args:
        schema: the model that was validated.
        finding: what pydantic found.
        section: the path of the mapping that was validated.
    """
    inner = tuple(part for part in finding["loc"] if part != "[key]")
    path = dotted((*section, *inner))
    if finding["type"] == "extra_forbidden":
        allowed = sorted(_model_at(schema, inner[:-1]).model_fields)
        close = difflib.get_close_matches(str(inner[-1]), allowed, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        return f"{path}: unknown key{hint}: allowed here are {', '.join(allowed)}"
    if finding["type"] == "missing":
        return f"{path}: is missing"
    if finding["type"] == "invalid_key" or ("[key]" in finding["loc"] and not isinstance(finding["input"], str)):
        return f"{dotted((*section, *inner[:-1]))}: the key {shown_value(finding['input'])} should be text"
    if not inner or "[key]" in finding["loc"]:
        return f"{path}: {plain_message(finding)}"
    return f"{path} = {shown_value(finding['input'])}: {plain_message(finding)}"


def plain_message(finding: Mapping[str, Any]) -> str:
    """Returns the message of one of pydantic's findings, without pydantic's own turns of phrase."""
    return finding["msg"].removeprefix("Value error, ").replace("Input should", "should")


def dotted(path: KeyPath) -> str:
    """Writes a path as in `profiles.default.systems[1]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{shown_key(part)}" for part in path)
    return text.removeprefix(".") or "the file"


def one_line(text: str) -> str:
    """Returns a text in one line that can be printed: without passwords, and not too long."""
    text = _visible(masked(" ".join(text.split())))
    return text if len(text) <= LONGEST_LINE else text[: LONGEST_LINE - 3] + "..."


def shown_key(key: str) -> str:
    """Returns a key as a message shows it: without passwords, invisible letters written out, and not too long."""
    return _cut(_visible(masked(key)))


def shown_value(value: Any) -> str:
    """Returns a value as a message shows it: as `shown_key`, and as Python writes it."""
    return _cut(_VALUES.repr(value))


class _Values(reprlib.Repr):
    """Writes values without going through all of one that is large, or that holds itself."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel = 3

    def repr_str(self, x: str, level: int) -> str:
        return repr(masked(x))

    def repr_int(self, x: int, level: int) -> str:
        return (
            repr(x) if abs(x) < 10**LONGEST_VALUE else f"{'-' if x < 0 else ''}a number of over {LONGEST_VALUE} digits"
        )


_VALUES = _Values()


def _visible(text: str) -> str:
    return (
        text
        if text.isprintable()
        else "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    )


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."


def _model_at(schema: type[BaseModel], path: KeyPath) -> type[BaseModel]:
    """Returns the model that checks the mapping at a path."""
    for part in path:
        field = schema.model_fields.get(str(part))
        if field is not None:  # otherwise the part is a key of a mapping, and the model of its values is found already
            schema = _first_model(field.annotation) or schema
    return schema


def _first_model(annotation: Any) -> type[BaseModel] | None:
    """Returns the first pydantic model that a type annotation names."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for model in map(_first_model, get_args(annotation)) if model), None)
