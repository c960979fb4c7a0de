"""Reads JSON files as typed documents; every mistake is one message with file, key, value and remedy."""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, RootModel, ValidationError

from reports.errors import UserError
from reports.foreign_text import one_line
from reports.inputs.columns import LARGEST, LARGEST_WHOLE
from reports.inputs.paths import read_file, shortened

DEEPEST = 32  # levels of lists and mappings in a value that may be anything


class Document(BaseModel):
    """A JSON object whose values have the types that they are written with: `true` is no number, "1" neither."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False, arbitrary_types_allowed=True)


def _plain_file_name(name: str) -> str:
    if name in ("", ".", "..") or "/" in name or "\\" in name or "\0" in name:
        raise ValueError("is not the plain name of a file in this folder")
    return name


def _not_too_deep(value: Any, level: int = 0) -> Any:
    if level > DEEPEST:
        raise ValueError(f"has more than {DEEPEST} levels")
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _not_too_deep(part, level + 1)
    return value


FileName = Annotated[str, AfterValidator(_plain_file_name)]
Anything = Annotated[Any, AfterValidator(_not_too_deep)]  # settings, which have values of every type
Count = Annotated[int, Field(ge=0, le=LARGEST_WHOLE)]
Number = Annotated[float, Field(ge=-LARGEST, le=LARGEST)]
Seconds = Annotated[float, Field(ge=0, le=1e15)]
Percentage = Annotated[float, Field(ge=0, le=100)]
Proportion = Annotated[float, Field(gt=0, le=1)]

Model = TypeVar("Model", bound=BaseModel)


class _Object(RootModel[dict[str, Any]]):
    """Any JSON object."""


def read_document(path: Path, model: type[Model], remedy: str, **more: Any) -> Model:
    """Reads the JSON file at `path`.

    Args:
        more: values of the model that come from elsewhere.

    Raises:
        FileNotFoundError: there is no such file.
        UserError: it cannot be read, or a value is wrong.
    """
    content = read_file(path, remedy)
    try:
        if not more:
            return model.model_validate_json(content)
        return model.model_validate(_Object.model_validate_json(content).root | more)
    except ValidationError as error:
        raise UserError(f"{path}: {_first_mistake(error)}; {remedy}") from None


def _first_mistake(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = one_line(".".join(str(step) for step in first["loc"]))
    value = "" if first["type"] in ("missing", "json_invalid") else f", not {reprlib.repr(first['input'])}"
    return f"{shortened(where) or 'the file'}: {first['msg'].removeprefix('Value error, ')}{value}"
