"""The sections of params.yaml as pydantic models: keys, types and allowed values."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, create_model, field_validator

from data import catalog
from experiments.learning import contract
from experiments.settings.spaces import Space


def _number(value: Any) -> float | None:
    plain = isinstance(value, int | float) and not isinstance(value, bool)
    return float(value) if plain and math.isfinite(value) else None


def _proportion(value: Any) -> float:
    number = _number(value)
    if number is None or not 0 < number <= 1:
        raise ValueError("must be a number above 0 and at most 1")
    return number


def _xi(value: Any) -> float | str:
    number = _number(value)
    if value == "auto":
        return "auto"
    if number is None or number < 0:
        raise ValueError("must be auto or a number, 0 or more")
    return number


def _gpus(value: Any) -> float | None:
    number = _number(value)
    if value is not None and (number is None or number < 0 or (number > 1 and number % 1)):
        raise ValueError("must be null, 0, a fraction of 1, or a whole number of GPUs")
    return number


def _seconds(value: Any) -> float | None:
    number = _number(value)
    if value is not None and (number is None or number <= 0):
        raise ValueError("must be null or a number of seconds above 0")
    return number


def _database(value: Any) -> str | None:
    if value is not None and not (isinstance(value, str) and re.match(r"postgresql(\+\w+)?://", value)):
        raise ValueError(
            "must be null (a file in the store) or a PostgreSQL URL, postgresql+psycopg://USER@HOST/DATABASE"
        )
    return value


def _system(value: Any) -> str:
    known = contract.SYSTEMS.names()
    if value not in known:
        raise ValueError(f"unknown system: known are {', '.join(known)}")
    return value


def _dataset(value: Any) -> str:
    if value not in catalog.CATALOG:
        raise ValueError(f"unknown dataset: known are {', '.join(sorted(catalog.CATALOG))}")
    return value


Proportion = Annotated[float, BeforeValidator(_proportion)]
Xi = Annotated[float | str, BeforeValidator(_xi)]
SystemName = Annotated[str, BeforeValidator(_system)]
Count = Annotated[int, Field(ge=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class XiStudy(_Section):
    """Extra trials for the figure of accuracy against ξ, the weight of the label term in eq (18)."""

    systems: list[SystemName] = Field(min_length=1)
    proportions: list[Proportion] = Field(min_length=1)
    xi: list[Xi] = Field(min_length=1)


class Profile(_Section):
    """A grid of trials: {system × labelled proportion × ξ × repetition}."""

    systems: list[SystemName] = Field(min_length=1)
    proportions: list[Proportion] = Field(min_length=1)
    xi: list[Xi] = Field(min_length=1)
    repetitions: Count
    xi_study: XiStudy | None = None

    @property
    def all_systems(self) -> list[str]:
        """The grid's systems, then those that only the ξ study has."""
        return list(dict.fromkeys([*self.systems, *(self.xi_study.systems if self.xi_study else [])]))


class Data(_Section):
    """What the data stages read and make.

    `source` is a folder with the official files. `images` is the number of images of a dataset that is drawn here.
    `minimum_count` is how often a word must occur in the training captions to enter the vocabulary; null is the
    dataset's own number. `word_vectors` is a word2vec file.
    """

    source: str | None = None
    images: Count | None = None
    minimum_count: Count | None = None
    word_vectors: str | None = None


class Compute(_Section):
    """What a trial gets of the machine; null is chosen from the machine (see `experiments.compute.resources`)."""

    workers: Count | None = None
    cpus_per_trial: Count | None = None
    gpus_per_trial: Annotated[float | None, BeforeValidator(_gpus)] = None
    devices_per_trial: Count | None = None
    epoch_seconds: Annotated[float | None, BeforeValidator(_seconds)] = None
    stack: Count | None = None


class Tracking(_Section):
    """The URI of MLflow; null is MLFLOW_TRACKING_URI, or sqlite:///mlflow.db."""

    uri: str | None = None


class Search(_Section):
    """A search for settings: `trials` settings of each system, each run at every proportion and repetition."""

    trials: Count
    proportions: list[Proportion] = Field(min_length=1)
    repetitions: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    objectives: list[Literal["accuracy", "cost"]] = ["accuracy"]
    warm_start: Annotated[int, Field(ge=0)] = 0  # the best settings of earlier studies that are tried first
    storage: Annotated[str | None, BeforeValidator(_database)] = None
    spaces: dict[str, dict[str, Space]] = Field(min_length=1)

    @field_validator("objectives")
    @classmethod
    def _accuracy_first(cls, values: list[str]) -> list[str]:
        if "accuracy" not in values:
            raise ValueError("must name accuracy: the cheapest setting needs no search")
        return sorted(values)

    @field_validator("proportions", "repetitions", "objectives")
    @classmethod
    def _each_once(cls, values: list[Any]) -> list[Any]:
        if len(set(values)) < len(values):
            raise ValueError("names one twice")
        return values


class Params(_Section):
    """The whole of params.yaml.

    The sections that systems share (`vae`, `captions`, `supervised`) come from the registry of systems: `schema` adds
    them as fields, and `shared` returns one.
    """

    dataset: Annotated[str, BeforeValidator(_dataset)]
    data: Data = Data()
    profile: str
    profiles: dict[str, Profile]
    compute: Compute = Compute()
    tracking: Tracking = Tracking()
    search: Search | None = None
    systems: dict[SystemName, dict[str, Any] | None]

    def shared(self, section: str) -> Mapping[str, Any]:
        """Returns the settings of a section that systems share."""
        return getattr(self, section)


def schema() -> type[Params]:
    """Returns `Params` with one field for each section that some known system shares."""
    sections = sorted({section for name in contract.SYSTEMS.names() for section in contract.SYSTEMS.get(name).shares})
    # Typed as pydantic reads it: a field is the pair of its type and its default.
    fields: dict[str, Any] = {section: (dict[str, Any], {}) for section in sections}
    return create_model("Params", __base__=Params, **fields)
