"""The spaces that a search draws settings from: section `search: spaces` of params.yaml, checked against systems."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from experiments.learning import contract
from experiments.learning.contract import AnySystem
from experiments.settings.refusals import KeyPath, plain_message, shown_value
from experiments.settings.values import LONGEST_LIST, finite

DIGITS = 3  # significant digits of a number that is drawn, so that what is printed is what was tried
Mistake = tuple[KeyPath, Any, str]  # path of the key, its value (None where the message needs none), what is allowed


@dataclass(frozen=True)
class Spaces:
    """The dimensions of each system, and what is wrong.

    Attributes:
        dimensions: by system and setting.
        mistakes: what is wrong in itself.
        conflicts: by system, what does not go together with the settings in use. Only a search minds, since it tries
            these settings first.
    """

    dimensions: dict[str, dict[str, Dimension]]
    mistakes: list[Mistake]
    conflicts: dict[str, list[Mistake]]


class Space(BaseModel):
    """The values that one setting may take, as params.yaml has them: from `low` to `high`, or one of `choices`.

    `log` spaces the values between `low` and `high` evenly by their logarithm.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    low: Any = None
    high: Any = None
    log: bool = False
    choices: list[Any] | None = Field(None, min_length=2, max_length=LONGEST_LIST)

    @field_validator("low", "high")
    @classmethod
    def _number(cls, value: Any) -> float:
        if finite(value) is None:
            raise ValueError("must be a number")
        return value

    @model_validator(mode="after")
    def _one_kind(self) -> Space:
        ends = (self.low, self.high)
        if self.choices is not None:
            if ends != (None, None) or self.log:
                raise ValueError("has choices, so neither low, high nor log")
            if any(value in self.choices[:index] for index, value in enumerate(self.choices)):
                raise ValueError("names a choice twice")
        elif self.low is None or self.high is None:
            raise ValueError("needs low and high, or choices")
        elif self.low >= self.high:
            raise ValueError("low must be below high")
        elif self.log and self.low <= 0:
            raise ValueError("low must be above 0 where log is true")
        return self


@dataclass(frozen=True)
class Dimension:
    """The space of one setting, with values of the setting's own type: integers stay integers.

    Attributes:
        name: the setting.
        low: the least value; None where there are choices.
        high: the greatest value; None where there are choices.
        log: whether values are spaced evenly by their logarithm.
        choices: the values to choose from; empty where there are `low` and `high`.
    """

    name: str
    low: Any = None
    high: Any = None
    log: bool = False
    choices: tuple[Any, ...] = ()

    def draw(self, trial: Any) -> Any:
        """Returns the value of a trial of Optuna (`optuna.trial.BaseTrial`), which is drawn now if it has none."""
        if self.choices:
            return trial.suggest_categorical(self.name, self.choices)
        suggest = trial.suggest_int if isinstance(self.low, int) else trial.suggest_float
        return suggest(self.name, self.low, self.high, log=self.log)

    def distribution(self) -> Any:
        """Returns the space as one of Optuna's distributions."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices:
            return CategoricalDistribution(self.choices)
        kind = IntDistribution if isinstance(self.low, int) else FloatDistribution
        return kind(self.low, self.high, log=self.log)

    def rounded(self, value: Any) -> Any:
        """Returns a float rounded to DIGITS, within `low` and `high`; any other value unchanged."""
        if not isinstance(value, float) or self.choices:
            return value
        return min(max(float(f"{value:.{DIGITS}g}"), self.low), self.high)

    def holds(self, value: Any) -> bool:
        """Returns whether a value could be drawn."""
        if self.choices:
            return value in self.choices
        return isinstance(value, int | float) and self.low <= value <= self.high

    def read(self, text: str) -> Any:
        """Returns the value that `written` turns into a text. ValueError where it could not be drawn."""
        if self.choices:
            value = next((choice for choice in self.choices if written(choice) == text), text)
        else:
            value = int(text) if isinstance(self.low, int) else float(text)
        if not self.holds(value):
            raise ValueError(f"{self.name} = {text} is not within {self}")
        return value

    def plain(self) -> dict[str, Any]:
        """Returns the space as it stands in params.yaml."""
        if self.choices:
            return {"choices": list(self.choices)}
        return {"low": self.low, "high": self.high, **({"log": True} if self.log else {})}

    def __str__(self) -> str:
        if self.choices:
            return ", ".join(map(str, self.choices))
        return f"{self.low:g} to {self.high:g}{' (log)' if self.log else ''}"


def written(value: Any) -> str:
    """Returns a value as a CSV file has it."""
    return "" if value is None else str(value)


def resolve(spaces: Mapping[str, Mapping[str, Space]], settings: Mapping[str, BaseModel]) -> Spaces:
    """Merges the spaces of shared sections and of systems into the dimensions of each system.

    A system's own space for a setting replaces that of a section it shares.

    Args:
        spaces: spaces by section, or system, and setting.
        settings: the settings in use, by system.
    """
    sharers: dict[str, list[str]] = {}
    for name in settings:
        for section in contract.SYSTEMS.get(name).shares:
            sharers.setdefault(section, []).append(name)
    resolved = Spaces({}, [], {})
    for section in (key for key in spaces if key not in sharers and key not in settings):
        known = ", ".join([*sharers, *settings])
        message = f"neither a shared section nor a system with settings: known are {known}"
        resolved.mistakes.append(((section,), None, message))
    for name, used in settings.items():
        system = contract.SYSTEMS.get(name)
        if system.settings_of:
            continue
        merged: dict[str, tuple[str, Space]] = {}  # by setting, the space that counts and its section
        for section in (*system.shares, name):
            merged |= {
                setting: (section, space)
                for setting, space in spaces.get(section, {}).items()
                if setting in type(used).model_fields or not _is_of(setting, sharers.get(section, []), settings)
            }
        for setting, (section, space) in merged.items():
            _add(resolved, system, used, section, setting, space)
    return resolved


def _is_of(setting: str, sharers: Sequence[str], settings: Mapping[str, BaseModel]) -> bool:
    """Returns whether any system that shares the section has the setting; then a system without it is no mistake."""
    return any(setting in type(settings[name]).model_fields for name in sharers)


def _add(spaces: Spaces, system: AnySystem, used: BaseModel, section: str, setting: str, space: Space) -> None:
    """Adds the dimension of a system's setting, with values of the setting's own type, or what is wrong with it."""
    dimensions = spaces.dimensions.setdefault(system.name, {})
    path = (section, setting)
    fields = type(used).model_fields
    mistakes: list[Mistake] = []
    conflicts: list[Mistake] = []
    values = {}
    if setting not in fields:
        mistakes.append((path, None, f"system {system.name!r} has no such setting: it has {', '.join(sorted(fields))}"))
    for key, value in _values(space) if setting in fields else ():
        try:
            changed = type(used).model_validate({**used.model_dump(mode="json"), setting: value})
        except ValidationError as error:
            (finding, *_) = error.errors()
            own = finding["loc"][:1] == (setting,)  # and not about this value together with the others in use
            (mistakes if own else conflicts).append(((*path, *key), value, plain_message(finding)))
        else:
            values[key] = getattr(changed, setting)
            if not space.choices and (isinstance(values[key], bool) or not isinstance(values[key], int | float)):
                mistakes.append(((*path, *key), value, "is no number to this setting: list its choices"))
    spaces.mistakes.extend(mistake for mistake in mistakes if mistake not in spaces.mistakes)
    if not mistakes and not conflicts:
        if space.choices:
            dimension = Dimension(setting, choices=tuple(values.values()))
        else:
            dimension = Dimension(setting, values["low",], values["high",], space.log)
        dimensions[setting] = dimension
        if not dimension.holds(getattr(used, setting)):
            message = (
                f"leaves out {shown_value(getattr(used, setting))}, which {system.name} uses: widen it, a search tries "
                "that first"
            )
            conflicts.append((path, None, message))
    if conflicts:
        spaces.conflicts.setdefault(system.name, []).extend(conflicts)


def _values(space: Space) -> Iterator[tuple[KeyPath, Any]]:
    """Yields the values that a space names, each with its path in the space."""
    if space.choices is None:
        yield ("low",), space.low
        yield ("high",), space.high
    else:
        yield from ((("choices", index), value) for index, value in enumerate(space.choices))
