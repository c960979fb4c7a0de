"""The sections of params.yaml as pydantic models: keys, types and allowed values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model, field_validator, model_validator

from experiments.learning import contract
from experiments.settings.spaces import Space
from experiments.settings.values import (
    Database,
    DatasetName,
    Gpus,
    ProfileName,
    Proportion,
    Repetition,
    Repetitions,
    Seconds,
    Several,
    SystemName,
    Text,
    Xi,
)

MOST_TRIALS = 1_000_000  # of one profile, or search; each has a folder


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _check_number(trials: int) -> None:
    if trials > MOST_TRIALS:
        raise ValueError(f"asks for {trials:,} trials, {MOST_TRIALS:,} are possible")


class XiStudy(_Section):
    """Extra trials for the figure of accuracy against ξ, the weight of the label term in eq (18)."""

    systems: Annotated[list[SystemName], Several]
    proportions: Annotated[list[Proportion], Several]
    xi: Annotated[list[Xi], Several]


class Profile(_Section):
    """A grid of trials: {system × labelled proportion × ξ × repetition}.

    `settings` holds, by system, values that replace those of the system's own section in this profile.
    """

    systems: Annotated[list[SystemName], Several]
    proportions: Annotated[list[Proportion], Several]
    xi: Annotated[list[Xi], Several]
    repetitions: Repetitions
    xi_study: XiStudy | None = None
    settings: dict[SystemName, dict[str, Any]] = {}

    @model_validator(mode="after")
    def _possible(self) -> Profile:
        blocks: Sequence[Profile | XiStudy] = [self, *filter(None, [self.xi_study])]
        cells = sum(len(block.systems) * len(block.proportions) * len(block.xi) for block in blocks)
        _check_number(cells * self.repetitions)
        taken = {contract.SYSTEMS.get(name).settings_of for name in self.all_systems}
        if stray := [name for name in self.settings if name not in {*self.all_systems, *taken}]:
            raise ValueError(f"has settings of {', '.join(stray)}, which none of its systems takes")
        return self

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

    source: Text | None = None
    images: Annotated[int, Field(ge=1, le=10_000_000)] | None = None
    minimum_count: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    word_vectors: Text | None = None


class Compute(_Section):
    """What a trial gets of the machine; null is chosen from the machine (see `experiments.compute.resources`)."""

    workers: Annotated[int, Field(ge=1, le=10_000)] | None = None
    cpus_per_trial: Annotated[int, Field(ge=1, le=10_000)] | None = None
    gpus_per_trial: Gpus = None
    devices_per_trial: Annotated[int, Field(ge=1, le=1_024)] | None = None
    epoch_seconds: Seconds = None
    stack: Annotated[int, Field(ge=1, le=1_024)] | None = None


class Tracking(_Section):
    """The URI of MLflow; null is MLFLOW_TRACKING_URI, or sqlite:///mlflow.db."""

    uri: Text | None = None


class Search(_Section):
    """A search for settings: `trials` settings of each system, each run at every proportion and repetition."""

    trials: Annotated[int, Field(ge=1, le=100_000)]
    proportions: Annotated[list[Proportion], Several]
    repetitions: Annotated[list[Repetition], Several]
    objectives: list[Literal["accuracy", "cost"]] = ["accuracy"]
    # The best settings of earlier studies that are tried first.
    warm_start: Annotated[int, Field(ge=0, le=100_000)] = 0
    storage: Database = None
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

    @model_validator(mode="after")
    def _possible(self) -> Search:
        _check_number(self.trials * len(self.proportions) * len(self.repetitions))
        return self


class Params(_Section):
    """The whole of params.yaml.

    The sections that systems share (`vae`, `captions`, `supervised`) come from the registry of systems: `schema` adds
    them as fields, and `shared` returns one.
    """

    dataset: DatasetName
    data: Data = Data()
    profile: str
    profiles: dict[ProfileName, Profile]
    compute: Compute = Compute()
    tracking: Tracking = Tracking()
    search: Search | None = None
    systems: dict[SystemName, dict[str, Any] | None]

    def shared(self, section: str) -> Mapping[str, Any]:
        """Returns the settings of a section that systems share."""
        return getattr(self, section)


def schema() -> type[Params]:
    """Returns `Params` with one field for each section that some known system shares."""
    shared = {section for name in contract.SYSTEMS.names() for section in contract.SYSTEMS.get(name).shares}
    return _with_sections(*sorted(shared))


@lru_cache
def _with_sections(*sections: str) -> type[Params]:
    # Typed as pydantic reads it: a field is the pair of its type and its default.
    fields: dict[str, Any] = {section: (dict[str, Any], {}) for section in sections}
    return create_model("Params", __base__=Params, **fields)
