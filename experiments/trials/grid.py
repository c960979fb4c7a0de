"""The trials that a profile asks for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from data.errors import UserError
from data.labelled.splits import Splits
from data.prepared.store import ImageStore
from experiments.learning import contract
from experiments.settings.config import Config
from experiments.trial_store.layout import Layout
from experiments.trials.identity import hashed_settings, identity

Cell = tuple[str, float, float | str | None, int]  # system, proportion, ξ, repetition


@dataclass(frozen=True)
class Trial:
    """One trial of the grid, and the identity that its result is kept under."""

    identity: str
    dataset: str
    system: str
    proportion: float
    xi: float | str | None
    seed: int
    settings: dict[str, Any]
    labelled: int  # training images whose labels it may use
    devices: int = 1  # that train it together

    @property
    def mapping(self) -> dict[str, Any]:
        """What it is, as plain values, its settings whole.

        Several devices are part of it: each draws numbers of its own and normalises its own part of a batch, so that
        the trial is not the one that a single device would run.
        """
        names = (
            "dataset",
            "system",
            "proportion",
            "xi",
            "seed",
            "settings",
            *(["devices"] if self.devices > 1 else []),
        )
        return {name: getattr(self, name) for name in names}

    def identified(self, data: str, split: str) -> Trial:
        """The same trial with the identity that it has on the data and split of those fingerprints."""
        system = contract.SYSTEMS.get(self.system)
        hashed = {**self.mapping, "settings": hashed_settings(system.Settings, self.settings)}
        return replace(self, identity=identity(hashed, data=data, split=split, version=system.version))

    @property
    def order(self) -> tuple[Any, ...]:
        """Sorts by system, proportion, ξ (auto first, then by value) and seed."""
        xi = -1.0 if isinstance(self.xi, str) or self.xi is None else self.xi
        return self.system, self.proportion, xi, self.seed

    def __str__(self) -> str:
        xi = "" if self.xi is None else f" ξ={xi_text(self.xi)}"
        return f"{self.system} {percent(self.proportion)}{xi} seed {self.seed}"


def percent(proportion: float) -> str:
    """A proportion as people read it: 0.01 is "1%"."""
    return f"{100 * proportion:.6g}%"


def xi_text(xi: float | str | None) -> str:
    """ξ as params.yaml asks for it: "auto", a number without needless zeros, or nothing."""
    return "" if xi is None else xi if isinstance(xi, str) else f"{xi:.15g}"


def cells(config: Config) -> Iterator[Cell]:
    """(system, proportion, ξ, seed) of every trial of the active profile and its ξ study, each once.

    ξ is None for a system that does not use it, so its trials at several ξ are one.
    """
    profile = config.profile
    blocks = [profile] if profile.xi_study is None else [profile, profile.xi_study]
    seen = set()
    for block in blocks:
        for system in block.systems:
            uses_xi = contract.SYSTEMS.get(system).uses_xi
            for proportion in block.proportions:
                for xi in block.xi if uses_xi else [None]:
                    for seed in range(profile.repetitions):
                        cell = (system, proportion, xi, seed)
                        if cell not in seen:
                            seen.add(cell)
                            yield cell


def make_trial(config: Config, layout: Layout, cell: Cell) -> Trial:
    """The trial at one cell. UserError where its data or split is not there."""
    return next(_identified(config, layout, [cell]))


def make_trials(config: Config, layout: Layout, wanted: Sequence[Cell], changes: Mapping[str, Any]) -> list[Trial]:
    """The trials at some cells, with those settings changed. UserError where data or a split is not there."""
    return list(_identified(config, layout, wanted, changes))


def trials(config: Config, layout: Layout) -> list[Trial]:
    """All trials of the active profile, in the order of `Trial.order`.

    UserError, naming the command that makes it, where data or splits are missing, UserError where there are
    fewer repetitions on disk than the profile asks for, the splits are of other images, or a system cannot be spread
    over the devices that a trial is to have.
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
    has = contract.CAPTIONS if store.captioned else contract.LABELS
    if unable := next((name for name, *_ in wanted if contract.SYSTEMS.get(name).learns != has), None):
        raise UserError(
            f"the images of dataset {config.dataset!r} have {has}, and system {unable!r} learns "
            f"{contract.SYSTEMS.get(unable).learns}: name systems that learn {has}, "
            + ", ".join(name for name in contract.SYSTEMS.names() if contract.SYSTEMS.get(name).learns == has)
        )
    splits = Splits.open(layout.splits(config.dataset))
    if splits.data != store.fingerprint:
        raise UserError(
            f"{splits.folder} was cut from other images than {layout.processed(config.dataset)} holds: "
            f"run `python -m data split {config.dataset} --repetitions {config.repetitions}`"
        )
    parts: dict[tuple[int, float], tuple[str, int]] = {}
    for system, proportion, xi, seed in wanted:
        if (seed, proportion) not in parts:
            labelled = len(splits.labelled(seed, proportion))
            parts[seed, proportion] = splits.fingerprint(seed, proportion), labelled
        split, labelled = parts[seed, proportion]
        settings = {**config.settings[system].model_dump(mode="json"), **changes}
        trial = Trial("", config.dataset, system, proportion, xi, seed, settings, labelled, devices)
        yield trial.identified(store.fingerprint, split)
