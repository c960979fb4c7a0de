"""params.yaml as a typed value; whatever is wrong with it is refused before anything starts."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, create_model, field_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from data import catalog
from data.errors import UserError
from experiments.learning import contract
from experiments.secrets import masked
from experiments.settings import spaces as space
from vae.architecture import TABLE2

Path_ = tuple[str | int, ...]


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
    if value != "auto" and (number is None or number < 0):
        raise ValueError("must be auto or a number, 0 or more")
    return "auto" if number is None else number


def _share_of_gpus(value: Any) -> float | None:
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
    """Extra trials for the figure of accuracy against ξ."""

    systems: list[SystemName] = Field(min_length=1)
    proportions: list[Proportion] = Field(min_length=1)
    xi: list[Xi] = Field(min_length=1)


class Profile(_Section):
    """A grid {system × proportion × ξ × repetition}."""

    systems: list[SystemName] = Field(min_length=1)
    proportions: list[Proportion] = Field(min_length=1)
    xi: list[Xi] = Field(min_length=1)
    repetitions: Count
    xi_study: XiStudy | None = None

    @property
    def all_systems(self) -> list[str]:
        """The grid's systems, then those of the ξ study alone."""
        return list(dict.fromkeys([*self.systems, *(self.xi_study.systems if self.xi_study else [])]))


class Data(_Section):
    """Where the data stages take official files from, how many images are drawn of a dataset that has none, and how
    often a word must come to be in the vocabulary (null is the dataset's own number); a file of its words' vectors."""

    source: str | None = None
    images: Count | None = None
    minimum_count: Count | None = None
    word_vectors: str | None = None


class Compute(_Section):
    """What a trial gets; null is chosen sensibly (see `experiments.compute.resources`)."""

    workers: Count | None = None
    cpus_per_trial: Count | None = None
    gpus_per_trial: Annotated[float | None, BeforeValidator(_share_of_gpus)] = None
    devices_per_trial: Count | None = None
    epoch_seconds: Annotated[float | None, BeforeValidator(_seconds)] = None
    stack: Count | None = None


class Tracking(_Section):
    """Where MLflow is; null is MLFLOW_TRACKING_URI, or sqlite:///mlflow.db."""

    uri: str | None = None


class Search(_Section):
    """How settings are looked for: `trials` settings of each system, each on every proportion and repetition."""

    trials: Count
    proportions: list[Proportion] = Field(min_length=1)
    repetitions: list[Annotated[int, Field(ge=0)]] = Field(min_length=1)
    objectives: list[Literal["accuracy", "cost"]] = ["accuracy"]
    warm_start: Annotated[int, Field(ge=0)] = 0  # settings of earlier studies that are tried first
    storage: Annotated[str | None, BeforeValidator(_database)] = None
    spaces: dict[str, dict[str, space.Space]] = Field(min_length=1)

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


class _Params(_Section):
    dataset: Annotated[str, BeforeValidator(_dataset)]
    data: Data = Data()
    profile: str
    profiles: dict[str, Profile]
    compute: Compute = Compute()
    tracking: Tracking = Tracking()
    search: Search | None = None
    systems: dict[SystemName, dict[str, Any] | None]


class Config:
    """A params.yaml that holds: `params` as it is, `settings` of every system it names, the active `profile`,
    and by system the `spaces` that a search may choose from."""

    def __init__(
        self,
        params: _Params,
        settings: Mapping[str, BaseModel],
        spaces: Mapping[str, Mapping[str, space.Dimension]],
        origin: Path,
    ) -> None:
        self.params = params
        self.settings = settings
        self.spaces = spaces
        self.origin = origin

    @property
    def dataset(self) -> str:
        return self.params.dataset

    @property
    def profile(self) -> Profile:
        """The active profile."""
        return self.params.profiles[self.params.profile]

    @property
    def picture(self) -> tuple[int, int] | tuple[None, None]:
        """Side and channels that a folder of one's own is prepared for: the named architecture's; None where the
        catalog says, or the folder's usual ones will do."""
        named = self.params.vae.get("architecture")
        if named is None or catalog.get(self.dataset).images is not None:
            return None, None
        architecture = TABLE2[named]
        return architecture.side, architecture.channels

    @property
    def repetitions(self) -> int:
        """How many the splits need: those of the active profile, and those that a search uses."""
        searched = self.params.search.repetitions if self.params.search else []
        return max([self.profile.repetitions, *(repetition + 1 for repetition in searched)])

    def resolved(self) -> dict[str, Any]:
        """What this sweep runs on, as plain values: the active profile and its systems' whole settings."""
        return {
            "dataset": self.dataset,
            "profile": self.params.profile,
            **self.profile.model_dump(mode="json"),
            "compute": self.params.compute.model_dump(mode="json"),
            "settings": {name: self.settings[name].model_dump(mode="json") for name in self.profile.all_systems},
        }


def load(path: Path) -> Config:
    """Reads and checks a params.yaml, the whole of it.

    UserError where it is missing or not YAML, and where keys, types or values in it are wrong: then its message
    has one line for each, with the path of the key, the value and what is allowed.
    """
    content = _read(path)
    sections = {
        section: (dict[str, Any], {})
        for name in contract.SYSTEMS.names()
        for section in contract.SYSTEMS.get(name).shares
    }
    schema = create_model("Params", __base__=_Params, **sections)
    mistakes: list[str] = []
    try:
        params = schema.model_validate(content)
    except ValidationError as error:
        raise UserError(_refusal(path, [_told(schema, found) for found in error.errors()])) from None
    if params.profile not in params.profiles:
        mistakes.append(f"profile = {params.profile!r}: unknown profile: known are {', '.join(params.profiles)}")
    else:
        mistakes += _mismatch(params)
    mistakes += _wrong_data(params)
    settings = {}
    for name in _used(params):
        found = _settings(name, params)
        if isinstance(found, BaseModel):
            settings[name] = found
        else:
            mistakes += [mistake for mistake in found if mistake not in mistakes]
    spaces, wrong = space.resolve(params.search.spaces, settings) if params.search and not mistakes else ({}, [])
    for key, value, message in wrong:
        mistakes.append(f"{_dotted(('search', 'spaces', *key))}{'' if value is None else f' = {value!r}'}: {message}")
    if mistakes:
        raise UserError(_refusal(path, mistakes))
    return Config(params, settings, spaces, path)


def _wrong_data(params: _Params) -> list[str]:
    """What the dataset cannot have of section `data`."""
    try:
        catalog.sized(catalog.get(params.dataset), None, None, params.data.images)
    except UserError as error:
        return [f"data.images = {params.data.images}: {str(error).removeprefix(f'--images {params.data.images}: ')}"]
    return []


def _read(path: Path) -> dict[str, Any]:
    # ruamel.yaml, not PyYAML: DVC reads with it too, so both see the same numbers (1e-3 is one in YAML 1.2 only).
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: name another file with --params") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    except YAMLError as error:
        raise UserError(f"{path} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a mapping of settings but {type(content).__name__}: write `key: value` lines")
    return content


def _used(params: _Params) -> list[str]:
    """Systems that the file names, in order: those with a section and those in any profile."""
    used = dict.fromkeys(params.systems)
    for profile in params.profiles.values():
        used |= dict.fromkeys(profile.all_systems)
    return list(used)


def _settings(name: str, params: _Params) -> BaseModel | list[str]:
    """A system's settings, the shared section's under its own; or what is wrong with them."""
    system = contract.SYSTEMS.get(name)
    own = params.systems.get(name) or {}
    settings, sections = {}, {}  # each with the section that it is from
    for section, values in [*((section, getattr(params, section)) for section in system.shares), (None, own)]:
        settings |= values
        sections |= dict.fromkeys(values, section)
    try:
        return system.Settings.model_validate(settings)
    except ValidationError as error:
        mistakes = []
        for found in error.errors():
            section = sections.get(found["loc"][0]) if found["loc"] else None
            mistakes.append(_told(system.Settings, found, ("systems", name) if section is None else (section,)))
        return mistakes


def _mismatch(params: _Params) -> list[str]:
    """What the active profile's systems learn and the dataset's images do not have, as far as the catalog knows."""
    classes = catalog.get(params.dataset).classes
    if classes is None:
        return []
    has = contract.LABELS if classes else contract.CAPTIONS
    wrong = [name for name in params.profiles[params.profile].all_systems if contract.SYSTEMS.get(name).learns != has]
    if not wrong:
        return []
    able = [
        name
        for name, one in params.profiles.items()
        if all(contract.SYSTEMS.get(s).learns == has for s in one.all_systems)
    ]
    return [
        f"dataset = {params.dataset!r}: its images have {has}, but profile {params.profile!r} has "
        f"{', '.join(wrong)}, which learn{'s' if len(wrong) == 1 else ''} {contract.SYSTEMS.get(wrong[0]).learns}: "
        + (f"choose profile {' or '.join(able)}" if able else f"name systems that learn {has} in the profile")
    ]


def _refusal(path: Path, mistakes: list[str]) -> str:
    if len(mistakes) == 1:
        return f"{path}: {mistakes[0]}"
    return f"{path} has {len(mistakes)} mistakes:" + "".join(f"\n  {mistake}" for mistake in mistakes)


def _told(schema: type[BaseModel], found: Mapping[str, Any], section: Path_ = ()) -> str:
    """One of pydantic's findings as the path of the key, its value and what is allowed."""
    inner = tuple(part for part in found["loc"] if part != "[key]")
    path = _dotted((*section, *inner))
    if found["type"] == "extra_forbidden":
        allowed = sorted(_model_at(schema, inner[:-1]).model_fields)
        close = difflib.get_close_matches(str(inner[-1]), allowed, n=1)
        hint = f" (did you mean {close[0]}?)" if close else ""
        return f"{path}: unknown key{hint}: allowed here are {', '.join(allowed)}"
    if found["type"] == "missing":
        return f"{path}: is missing"
    message = found["msg"].removeprefix("Value error, ").replace("Input should", "should")
    if not inner or "[key]" in found["loc"]:
        return f"{path}: {message}"
    return f"{path} = {_short(found['input'])}: {message}"


def _short(value: Any) -> str:
    text = masked(repr(value))
    return text if len(text) <= 60 else text[:57] + "..."


def _dotted(path: Path_) -> str:
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".") or "the file"


def _model_at(schema: type[BaseModel], path: Path_) -> type[BaseModel]:
    """The model that checks the mapping at that path."""
    for part in path:
        field = schema.model_fields.get(str(part))
        if field is not None:  # otherwise a key of a mapping, whose values the model found before checks
            schema = _first_model(field.annotation) or schema
    return schema


def _first_model(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((model for model in map(_first_model, get_args(annotation)) if model), None)
