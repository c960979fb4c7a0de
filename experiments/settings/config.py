"""params.yaml as a typed value; whatever is wrong with it is refused before anything starts."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML

from data import catalog
from data.errors import UserError
from experiments.learning import contract
from experiments.settings import spaces as search_spaces
from experiments.settings.overrides import applied
from experiments.settings.refusals import dotted, finding_text, refusal, shown_key, shown_value
from experiments.settings.schema import Params, Profile, schema
from experiments.settings.yaml_text import values_of
from vae.architecture import architecture_named


class Config:
    """A params.yaml whose every value is checked.

    Attributes:
        params: the file as it is, with the changes of `load`.
        settings: the settings of every system that the file names, by system: its shared sections and its own together.
        spaces: the dimensions that a search may choose from, and what keeps it from choosing.
        origin: the file.
    """

    def __init__(
        self,
        params: Params,
        settings: Mapping[str, BaseModel],
        spaces: search_spaces.Spaces,
        origin: Path,
        content: Mapping[str, Any],
    ) -> None:
        self.params = params
        self.settings = settings
        self.spaces: Mapping[str, Mapping[str, search_spaces.Dimension]] = spaces.dimensions
        self._conflicts = spaces.conflicts
        self.origin = origin
        self._content = content

    @property
    def dataset(self) -> str:
        """The dataset's name in the catalog."""
        return self.params.dataset

    @property
    def profile(self) -> Profile:
        """The active profile."""
        return self.params.profiles[self.params.profile]

    @property
    def picture(self) -> tuple[int, int] | tuple[None, None]:
        """Side and channels to which a folder of the user's own pictures is prepared: those of the named architecture.

        None where the catalog says them, or where the usual ones of such a folder will do.
        """
        named = self.params.shared("vae").get("architecture")
        if named is None or catalog.get(self.dataset).images is not None:
            return None, None
        architecture = architecture_named(named)
        return architecture.side, architecture.channels

    @property
    def repetitions(self) -> int:
        """The number of repetitions that the splits need: for the active profile and for a search."""
        searched = self.params.search.repetitions if self.params.search else []
        return max([self.profile.repetitions, *(repetition + 1 for repetition in searched)])

    def resolved(self) -> dict[str, Any]:
        """Returns what a sweep runs on, as plain values: the active profile and its systems' whole settings."""
        return {
            "dataset": self.dataset,
            "profile": self.params.profile,
            **self.profile.model_dump(mode="json"),
            "compute": self.params.compute.model_dump(mode="json"),
            "settings": {name: self.settings[name].model_dump(mode="json") for name in self.profile.all_systems},
        }

    def check_searchable(self, system: str) -> None:
        """Raises UserError where the spaces of a system do not go together with its settings in use."""
        if system in self._conflicts:
            raise UserError(refusal(str(self.origin), [_space_mistake(*each) for each in self._conflicts[system]]))

    def text(self) -> str:
        """Returns the params.yaml, with the changes of `load` in it, as YAML that `load` reads."""
        stream = io.StringIO()
        YAML(typ="safe", pure=True).dump(dict(self._content), stream)
        return stream.getvalue()


def load(path: Path, changes: Mapping[str, Any] = MappingProxyType({})) -> Config:
    """Reads a params.yaml and checks the whole of it.

    Args:
        path: the file.
        changes: values by dotted key that replace those of the file (see `experiments.settings.overrides`).

    Raises:
        UserError: the file is missing or not YAML, or keys, types or values are wrong. Then the message has one line
            for each mistake, with the path of the key, the value and what is allowed.
    """
    content = applied(_read(path), changes)
    # Keys alone: a value may hold a password.
    origin = f"{path} with --set {', '.join(map(shown_key, changes))}" if changes else str(path)
    known = schema()
    try:
        params = known.model_validate(content)
    except ValidationError as error:
        raise UserError(refusal(origin, [finding_text(known, finding) for finding in error.errors()])) from None
    mistakes = [*_profile_mistakes(params), *_data_mistakes(params)]
    settings: dict[str, BaseModel] = {}
    changed = [(name, profile) for profile, of in params.profiles.items() for name in of.settings]
    for name, profile in [*((name, params.profile) for name in _systems_named(params)), *changed]:
        checked = _system_settings(name, params, profile)
        if isinstance(checked, BaseModel):
            settings.setdefault(name, checked)  # those of the active profile come first
        else:
            # Systems that share a section find the same mistake in it, and differ in what they allow.
            found = {mistake.partition(": allowed")[0] for mistake in mistakes}
            mistakes += [mistake for mistake in checked if mistake.partition(": allowed")[0] not in found]
    if mistakes:
        raise UserError(refusal(origin, mistakes))
    spaces = search_spaces.resolve(params.search.spaces if params.search else {}, settings)
    if spaces.mistakes:
        raise UserError(refusal(origin, [_space_mistake(*mistake) for mistake in spaces.mistakes]))
    return Config(params, settings, spaces, path, content)


def _read(path: Path) -> dict[str, Any]:
    """Returns the file's content as plain values. UserError where it is no mapping."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: name another file with --params") from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read: {error}") from None
    try:
        content = values_of(text)
    except ValueError as error:
        raise UserError(f"{path} is not YAML: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} is not a mapping of settings but {type(content).__name__}: write `key: value` lines")
    return content


def _systems_named(params: Params) -> list[str]:
    """Returns the systems that the file names, in order: those with a section, then those of any profile."""
    named = dict.fromkeys(params.systems)
    for profile in params.profiles.values():
        named |= dict.fromkeys(profile.all_systems)
    return list(named)


def _system_settings(name: str, params: Params, profile: str) -> BaseModel | list[str]:
    """Returns a system's settings in a profile, or what is wrong with them.

    Those of the profile count before those of the system's own section, and these before those of shared sections.
    """
    system = contract.SYSTEMS.get(name)
    if system.settings_of:
        for path, values in _own_sections(name, params, profile).items():
            if values:
                taken = f"it takes those of {system.settings_of}: remove it"
                return [f"{dotted(path)}: has no settings of its own, {taken}"]
    own = ("systems", system.settings_of or name)
    sections: dict[tuple[str, ...], Mapping[str, Any]] = {
        (section,): _useful(system, section, params.shared(section)) for section in system.shares
    }
    settings: dict[str, Any] = {}
    paths: dict[str, tuple[str, ...]] = {}  # of the section that each setting is from
    for path, values in {**sections, **_own_sections(own[1], params, profile)}.items():
        settings |= values
        paths |= dict.fromkeys(values, path)
    try:
        return system.Settings.model_validate(settings)
    except ValidationError as error:
        absent = [section for section in system.shares if not params.shared(section)]
        if absent and any(finding["type"] == "missing" for finding in error.errors()):
            return [f"{section}: is missing: the section of settings that systems share" for section in absent]
        elsewhere = f" here and in {' and '.join(system.shares)}" if system.shares else ""
        return [
            finding_text(system.Settings, finding, paths.get(str(next(iter(finding["loc"]), "")), own))
            + (elsewhere if finding["type"] == "missing" else "")
            for finding in error.errors()
        ]


def _own_sections(name: str, params: Params, profile: str) -> dict[tuple[str, ...], Mapping[str, Any]]:
    """Returns a system's own settings by the path of their section: those of all profiles, and those of this one."""
    of_profile = params.profiles[profile].settings if profile in params.profiles else {}
    return {
        ("systems", name): params.systems.get(name) or {},
        ("profiles", profile, "settings", name): of_profile.get(name) or {},
    }


def _useful(system: contract.AnySystem, section: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the settings of a section but for those that other systems have and this one has no use for."""
    sharers = [contract.SYSTEMS.get(name) for name in contract.SYSTEMS.names()]
    of_others = {key for other in sharers if section in other.shares for key in other.Settings.model_fields}
    own = system.Settings.model_fields.keys()
    return {key: value for key, value in values.items() if key in own or key not in of_others}


def _profile_mistakes(params: Params) -> list[str]:
    """Says whether the active profile is unknown, or has systems that learn what the dataset's images do not have.

    Images whose classes the catalog does not know pass: a folder of the user's own.
    """
    if params.profile not in params.profiles:
        known = f"known are {', '.join(params.profiles)}" if params.profiles else "section profiles has none"
        return [f"profile = {shown_value(params.profile)}: unknown profile: {known}"]
    classes = catalog.get(params.dataset).classes
    if classes is None:
        return []
    has = contract.LABELS if classes else contract.CAPTIONS
    unable = [name for name in params.profiles[params.profile].all_systems if contract.SYSTEMS.get(name).learns != has]
    if not unable:
        return []
    able = [
        name
        for name, profile in params.profiles.items()
        if all(contract.SYSTEMS.get(system).learns == has for system in profile.all_systems)
    ]
    return [
        f"dataset = {params.dataset!r}: its images have {has}, but profile {params.profile!r} has "
        f"{', '.join(unable)}, which learn{'s' if len(unable) == 1 else ''} {contract.SYSTEMS.get(unable[0]).learns}: "
        + (f"choose profile {' or '.join(able)}" if able else f"name systems that learn {has} in the profile")
    ]


def _data_mistakes(params: Params) -> list[str]:
    """Says what section `data` asks for and the dataset cannot have, or an architecture that there is not."""
    architecture = params.shared("vae").get("architecture")  # it sizes a folder of pictures, whatever the systems are
    if architecture is not None:
        path = f"vae.architecture = {shown_value(architecture)}"
        if not isinstance(architecture, str):
            return [f"{path}: should be a valid string"]
        try:
            architecture_named(architecture)
        except KeyError as error:
            return [f"{path}: {error.args[0]}"]
    try:
        catalog.sized(catalog.get(params.dataset), None, None, params.data.images)
    except UserError as error:
        return [f"data.images = {params.data.images}: {str(error).removeprefix(f'--images {params.data.images}: ')}"]
    return []


def _space_mistake(key: tuple[str | int, ...], value: Any, message: str) -> str:
    return f"{dotted(('search', 'spaces', *key))}{'' if value is None else f' = {shown_value(value)}'}: {message}"
