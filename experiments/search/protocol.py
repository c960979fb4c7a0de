"""What a search asks about one system, and what it knows of each setting it tried."""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from experiments.learning import contract
from experiments.settings.config import Config
from experiments.settings.spaces import Dimension
from experiments.trial_store.layout import Layout
from experiments.trials.grid import Trial, make_trials
from experiments.trials.identity import canonical

State = Literal["complete", "pruned", "failed", "running"]
HALVING = 2  # one in so many settings survives each look at them
SHIPPED, DRAWN = "shipped", "drawn"  # origins of settings; the others name the study that they are from


@dataclass(frozen=True)
class Setting:
    """One setting of a system that was tried: its values, and its validation accuracy (percent) in each cell so far."""

    number: int
    params: dict[str, Any]
    state: State
    cells: tuple[float, ...] = ()
    seconds: float = 0.0  # of one worker
    reason: str = ""  # for which it failed
    operations: tuple[float, ...] = ()  # of each cell's training, where cost is an objective
    origin: str = DRAWN  # who asked for it

    @property
    def score(self) -> float | None:
        """The mean over its cells; None where it failed or has none."""
        return statistics.fmean(self.cells) if self.cells and self.state != "failed" else None

    @property
    def cost(self) -> float | None:
        """Operations of a cell's training, in the mean; None where none were counted."""
        return statistics.fmean(self.operations) if self.operations else None


class Protocol:
    """One system's search: every setting is tried on the same cells {proportion × repetition} in the same order,
    all proportions of one repetition after the other, so that scores after equally many cells compare.

    Settings are looked at after whole passes over the proportions, the first time after one: from then on
    successive halving stops the worse ones.

    Its `name` depends on all that a score depends on: data, splits, cells, spaces, settings that are not searched, the
    system's version; and on the objectives, where accuracy is not the only one.
    """

    def __init__(self, config: Config, layout: Layout, system: str) -> None:
        search = config.params.search
        assert search is not None
        self.config, self.layout, self.system = config, layout, system
        self.budget, self.proportions, self.repetitions = search.trials, search.proportions, search.repetitions
        self.objectives, self.warm_start = search.objectives, search.warm_start
        self.space: Mapping[str, Dimension] = config.spaces[system]
        used = config.settings[system].model_dump(mode="json")
        self.shipped = {name: used[name] for name in self.space}
        xi = "auto" if contract.SYSTEMS.get(system).uses_xi else None
        self._cells = [
            (system, proportion, xi, repetition) for repetition in self.repetitions for proportion in self.proportions
        ]
        fixed = [trial.identity for trial in self.trials(dict.fromkeys(self.space))]
        space = {name: dimension.plain() for name, dimension in self.space.items()}
        asked: dict[str, Any] = {"cells": fixed, "space": space}
        if self.weighs_cost:
            asked["objectives"] = self.objectives
        digest = hashlib.sha256(canonical(asked).encode()).hexdigest()
        self.name = f"{system}-{config.dataset}-{digest[:12]}"

    @property
    def weighs_cost(self) -> bool:
        """Whether settings are to be cheap too."""
        return "cost" in self.objectives

    def trials(self, params: Mapping[str, Any]) -> list[Trial]:
        """The cells with those settings, in order. UserError where a split is not there."""
        return make_trials(self.config, self.layout, self._cells, params)

    @property
    def cells(self) -> int:
        return len(self._cells)

    @property
    def grace(self) -> int:
        """Cells before a setting may be stopped."""
        return len(self.proportions)

    def expected_cells(self) -> list[float]:
        """The share of settings that each cell is expected to be run for."""
        passes = [index // self.grace for index in range(self.cells)]
        return [HALVING ** -float(math.floor(math.log(done, HALVING)) + 1 if done else 0) for done in passes]
