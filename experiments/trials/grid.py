"""The trials that a profile asks for: every combination of system, labelled proportion, ξ and repetition."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel

from data.errors import UserError
from data.labelled.splits import Splits
from data.prepared.store import ImageStore
from experiments.learning import contract
from experiments.learning.contract import System
from experiments.settings.config import Config
from experiments.settings.schema import Profile, XiStudy
from experiments.trial_store.layout import Layout
from experiments.trials.identity import hashed_settings, identity, plain_settings

Cell = tuple[str, float, float | str | None, int]  # system, proportion, ξ, repetition


@dataclass(frozen=True)
class Trial:
    """One trial: a system trained and tested once, at one labelled proportion, ξ and repetition.

    ξ weighs the label term of eq (18) against the images' bound; "auto" is N_X/(C·ρ), and None means that the
    system has no ξ. `settings` are the system's, validated by `Config`. The result is kept under `identity`.
    """

    identity: str
    dataset: str
    system: str
    proportion: float  # ρ, share of the training images whose labels or captions are used
    xi: float | str | None
    seed: int  # the repetition, counted from 0
    settings: BaseModel
    labelled: int  # number of training images whose labels or captions are used
    devices: int = 1  # number of devices that train the trial together

    @property
    def learned_by(self) -> System:
        """The system that learns in this trial."""
        return contract.SYSTEMS.get(self.system)

    @property
    def mapping(self) -> dict[str, Any]:
        """The trial as plain values, with all its settings.

        The number of devices is part of it where there are several: each device draws its own random numbers and
        normalises its own part of a batch, so the result differs from that of a single device.
        """
        return {
            "dataset": self.dataset,
            "system": self.system,
            "proportion": self.proportion,
            "xi": self.xi,
            "seed": self.seed,
            "settings": plain_settings(self.settings),
            **({"devices": self.devices} if self.devices > 1 else {}),
        }

    @property
    def config(self) -> dict[str, Any]:
        """What `config.json` in the trial's folder holds: the mapping, the identity and the number of labels."""
        return {**self.mapping, "identity": self.identity, "labelled": self.labelled}

    def identified(self, data: str, split: str) -> Trial:
        """Returns the trial with the identity that it has on data and a split with these fingerprints."""
        hashed = {**self.mapping, "settings": hashed_settings(self.settings)}
        version = self.learned_by.version_of(self.dataset, self.settings)
        return replace(self, identity=identity(hashed, data=data, split=split, version=version))

    @property
    def order(self) -> tuple[Any, ...]:
        """Sort key: system, proportion, ξ (auto first, then by value), repetition."""
        xi = -1.0 if isinstance(self.xi, str) or self.xi is None else self.xi
        return self.system, self.proportion, xi, self.seed

    def __str__(self) -> str:
        xi = "" if self.xi is None else f" ξ={xi_text(self.xi)}"
        return f"{self.system} {percent(self.proportion)}{xi} seed {self.seed}"


def percent(proportion: float) -> str:
    """Returns a proportion as people read it: 0.01 is "1%"."""
    return f"{100 * proportion:.6g}%"


def xi_text(xi: float | str | None) -> str:
    """Returns ξ as params.yaml writes it: "auto", a number without needless zeros, or "" for None."""
    return "" if xi is None else xi if isinstance(xi, str) else f"{xi:.15g}"


def cells(config: Config) -> Iterator[Cell]:
    """Yields (system, proportion, ξ, repetition) of every trial of the active profile and its ξ study, each once.

    ξ is None for a system that does not use it, so several values of ξ make one trial of such a system.
    """
    for group in _groups(config):
        for seed in range(config.profile.repetitions):
            yield (*group, seed)


def number_of_cells(config: Config) -> int:
    """Returns how many trials `cells` yields, without making them."""
    return len(_groups(config)) * config.profile.repetitions


def _groups(config: Config) -> list[tuple[str, float, float | str | None]]:
    """Returns each system, proportion and ξ of the active profile and its ξ study, once."""
    profile = config.profile
    blocks: list[Profile | XiStudy] = [profile] if profile.xi_study is None else [profile, profile.xi_study]
    found: dict[tuple[str, float, float | str | None], None] = {}
    for block in blocks:
        for system in block.systems:
            values: Sequence[float | str | None] = block.xi if contract.SYSTEMS.get(system).uses_xi else [None]
            found |= dict.fromkeys((system, proportion, xi) for proportion in block.proportions for xi in values)
    return list(found)


def make_trial(config: Config, layout: Layout, cell: Cell) -> Trial:
    """Returns the trial of one cell. UserError where its data or split is missing."""
    return next(_identified(config, layout, [cell]))


def make_trials(config: Config, layout: Layout, wanted: Sequence[Cell], changes: Mapping[str, Any]) -> list[Trial]:
    """Returns the trials of some cells with changed settings, whose values enter the identities as they are given.

    UserError where data or a split is missing.
    """
    return list(_identified(config, layout, wanted, changes))


def trials(config: Config, layout: Layout) -> list[Trial]:
    """Returns all trials of the active profile, sorted by `Trial.order`.

    UserError where data or splits are missing (the message names the command that makes them), where the splits
    have fewer repetitions than the profile asks for or were cut from other images, or where a system cannot be
    trained on as many devices as the settings ask for.
    """
    layout.bring(config.dataset)
    splits = Splits.open(layout.splits(config.dataset))
    wanted = config.profile.repetitions
    if splits.repetitions < wanted:
        raise UserError(
            f"profile {config.params.profile!r} asks for {wanted} repetitions, {splits.folder} has "
            f"{splits.repetitions}: run `python -m data split {config.dataset} --repetitions {wanted}`"
        )
    devices = config.params.compute.devices_per_trial or 1
    if devices > 1 and (whole := {name for name, *_ in cells(config) if not contract.SYSTEMS.get(name).spreads}):
        raise UserError(
            f"compute.devices_per_trial = {devices}: {', '.join(sorted(whole))} can be trained on one device only: set "
            "it to null, or leave them out of the profile"
        )
    return sorted(_identified(config, layout, list(cells(config)), devices=devices), key=lambda trial: trial.order)


def _identified(
    config: Config,
    layout: Layout,
    wanted: Sequence[Cell],
    changes: Mapping[str, Any] = MappingProxyType({}),
    devices: int = 1,
) -> Iterator[Trial]:
    layout.bring(config.dataset)
    store = ImageStore.open(layout.processed(config.dataset))
    _check_systems(config, wanted, contract.CAPTIONS if store.captioned else contract.LABELS)
    splits = Splits.open(layout.splits(config.dataset))
    if splits.data != store.fingerprint:
        raise UserError(
            f"{splits.folder} was cut from other images than {layout.processed(config.dataset)} holds: "
            f"run `python -m data split {config.dataset} --repetitions {config.repetitions}`"
        )
    subsets = sorted({(seed, proportion) for _, proportion, _, seed in wanted})  # each repetition's file is read once
    parts = {(of, at): (splits.fingerprint(of, at), len(splits.labelled(of, at))) for of, at in subsets}
    for system, proportion, xi, seed in wanted:
        split, labelled = parts[seed, proportion]
        settings = config.settings[system].model_copy(update=changes)
        trial = Trial("", config.dataset, system, proportion, xi, seed, settings, labelled, devices)
        yield trial.identified(store.fingerprint, split)


def _check_systems(config: Config, wanted: Sequence[Cell], has: str) -> None:
    """Raises UserError where a system learns from something else than the dataset has, labels or captions."""
    unable = next((name for name, *_ in wanted if contract.SYSTEMS.get(name).learns != has), None)
    if unable is not None:
        able = [name for name in contract.SYSTEMS.names() if contract.SYSTEMS.get(name).learns == has]
        raise UserError(
            f"the images of dataset {config.dataset!r} have {has}, and system {unable!r} learns "
            f"{contract.SYSTEMS.get(unable).learns}: name systems that learn {has}, {', '.join(able)}"
        )
