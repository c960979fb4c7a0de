"""The kinds of values in params.yaml, each with the bounds that a person could mean."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from data import catalog
from experiments.learning import contract

LEAST_PROPORTION = 1e-6  # one in a million images
MOST_XI = 1e12  # the paper's rule gives 2e10 for its largest images at the least proportion
LEAST_GPU, MOST_GPUS = 0.001, 1024
LONGEST_EPOCH = 366 * 86_400  # seconds
LONGEST_LIST = 1000
MOST_REPETITIONS = 1000
# They show text in another order than it has; a settings file that holds one hides what it says.
_REORDERING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


def finite(value: Any) -> float | None:
    """Returns a number as a float; None for all else, also for what is infinite, not a number, true or false."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return number if math.isfinite(number) else None


def _proportion(value: Any) -> float:
    number = finite(value)
    if number is None or not LEAST_PROPORTION <= number <= 1:
        raise ValueError("must be a number above 0 and at most 1, and not below one in a million")
    return number


def _xi(value: Any) -> float | str:
    if isinstance(value, str) and value == "auto":
        return "auto"
    number = finite(value)
    if number is None or not 0 <= number <= MOST_XI:
        raise ValueError(f"must be auto or a number, 0 or more, and at most {MOST_XI:g}")
    return number


def _gpus(value: Any) -> float | None:
    number = finite(value)
    if value is None or number == 0:
        return number
    if number is None or not LEAST_GPU <= number <= MOST_GPUS or (number > 1 and number % 1):
        raise ValueError(
            f"must be null, 0, a fraction of 1 from {LEAST_GPU}, or a whole number of GPUs up to {MOST_GPUS}"
        )
    return number


def _seconds(value: Any) -> float | None:
    number = finite(value)
    if value is not None and (number is None or not 0 < number <= LONGEST_EPOCH):
        raise ValueError(f"must be null or a number of seconds above 0, at most {LONGEST_EPOCH:,} (a year)")
    return number


def _database(value: Any) -> str | None:
    if value is not None and not (isinstance(value, str) and re.match(r"postgresql(\+\w+)?://", value)):
        raise ValueError(
            "must be null (a file in the store) or a PostgreSQL URL, postgresql+psycopg://USER@HOST/DATABASE"
        )
    return None if value is None else _visible(value)


def _system(value: Any) -> str:
    known = contract.SYSTEMS.names()
    if not isinstance(value, str) or value not in known:
        raise ValueError(f"unknown system: known are {', '.join(known)}")
    return value


def _dataset(value: Any) -> str:
    if not isinstance(value, str) or value not in catalog.CATALOG:
        raise ValueError(f"unknown dataset: known are {', '.join(sorted(catalog.CATALOG))}")
    return value


def _visible(value: str) -> str:
    for letter in value:
        if letter in _REORDERING or unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp"):
            raise ValueError(f"holds the character U+{ord(letter):04X}, which is not shown: leave it out")
    return value


def _profile_name(value: str) -> str:
    if not re.fullmatch(r"\w[\w.-]{0,63}", value):  # files are called by it
        raise ValueError("must be a name of letters, digits, `-`, `_` and `.`, 64 characters at most")
    return value


Proportion = Annotated[float, BeforeValidator(_proportion)]
Xi = Annotated[float | str, BeforeValidator(_xi)]
Gpus = Annotated[float | None, BeforeValidator(_gpus)]
Seconds = Annotated[float | None, BeforeValidator(_seconds)]
Database = Annotated[str | None, BeforeValidator(_database)]
SystemName = Annotated[str, BeforeValidator(_system)]
DatasetName = Annotated[str, BeforeValidator(_dataset)]
ProfileName = Annotated[str, AfterValidator(_profile_name)]
Text = Annotated[str, AfterValidator(_visible)]
Repetitions = Annotated[int, Field(ge=1, le=MOST_REPETITIONS)]
Repetition = Annotated[int, Field(ge=0, lt=MOST_REPETITIONS)]
Several = Field(min_length=1, max_length=LONGEST_LIST)  # of a list: no setting has more values than that
