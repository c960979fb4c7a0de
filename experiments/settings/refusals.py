"""What is wrong with settings, worded for a user: the path of the key, its value and what is allowed."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel

from experiments.secrets import masked

KeyPath = tuple[str | int, ...]  # keys of mappings and indices of lists, from the top of the file down
LONGEST_VALUE = 60  # characters of a value that a message shows


def refusal(origin: str, mistakes: Sequence[str]) -> str:
    """Returns one message about all mistakes; `origin` names the file they are in."""
    if len(mistakes) == 1:
        return f"{origin}: {mistakes[0]}"
    return f"{origin} has {len(mistakes)} mistakes:" + "".join(f"\n  {mistake}" for mistake in mistakes)


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
    if not inner or "[key]" in finding["loc"]:
        return f"{path}: {plain_message(finding)}"
    return f"{path} = {_short(finding['input'])}: {plain_message(finding)}"


def plain_message(finding: Mapping[str, Any]) -> str:
    """Returns the message of one of pydantic's findings, without pydantic's own turns of phrase."""
    return finding["msg"].removeprefix("Value error, ").replace("Input should", "should")


def dotted(path: KeyPath) -> str:
    """Writes a path as in `profiles.default.systems[1]`."""
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "the file"


def _short(value: Any) -> str:
    text = masked(repr(value))
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
