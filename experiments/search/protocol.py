"""What a search of one system tries its settings on, and what is known of each setting.

A setting here is one choice of values for all the settings of a system that are searched. A cell is one combination of
labelled proportion and repetition, on which every setting is trained and validated.
"""

from __future__ import annotations

import hashlib
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from experiments.learning import contract
from experiments.settings.config import Config
from experiments.settings.spaces import Dimension
from experiments.trial_store.layout import Layout
from experiments.trials.grid import Cell, Trial, make_trials
from experiments.trials.identity import canonical, plain_settings

State = Literal["complete", "pruned", "failed", "running"]
HALVING = 2  # one in so many settings survives each comparison
SHIPPED, DRAWN = "shipped", "drawn"  # origins of settings; that of a warm start names the study it is from


@dataclass(frozen=True)
class Setting:
    """One setting that was tried: its values, and its validation score in each cell so far.

    The score is the system's measure: accuracy in percent for labels, CIDEr for captions.
    """

    number: int
    params: dict[str, Any]
    state: State
    cells: tuple[float, ...] = ()
    seconds: float = 0.0  # of one worker
    reason: str = ""  # for which it failed
    operations: tuple[float, ...] = ()  # of the training in each cell
    origin: str = DRAWN

    @property
    def score(self) -> float | None:
        """The mean over its cells; None where the setting failed or has no cell yet."""
        return statistics.fmean(self.cells) if self.cells and self.state != "failed" else None

    @property
    def cost(self) -> float | None:
        """Mean operations of the training in a cell; None where none were counted."""
        return statistics.fmean(self.operations) if self.operations else None


class Protocol:
    """One system's search: every setting is tried on the same cells in the same order.

    The order is all proportions of one repetition, then those of the next, so that scores after equally many cells
    can be compared. After each pass over the proportions, successive halving stops the worse settings.

    The `name` of the study depends on everything that a score depends on: data, splits, cells, spaces, the settings
    that are not searched and the system's version; and on the objectives, where accuracy is not the only one.
    """

    def __init__(self, config: Config, layout: Layout, system: str) -> None:
        search = config.params.search
        assert search is not None
        self.config, self.layout, self.system = config, layout, system
        self.budget, self.proportions, self.repetitions = search.trials, search.proportions, search.repetitions
        self.objectives, self.warm_start = search.objectives, search.warm_start
        self.space: Mapping[str, Dimension] = config.spaces[system]
        used = plain_settings(config.settings[system])
        self.shipped = {name: used[name] for name in self.space}
        xi = "auto" if contract.SYSTEMS.get(system).uses_xi else None
        self._cells: list[Cell] = [
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
    def evidence(self) -> Path:
        """The folder of what searches on the dataset have found."""
        return self.layout.evidence / self.config.dataset

    @property
    def weighs_cost(self) -> bool:
        """Whether cost is an objective beside accuracy."""
        return "cost" in self.objectives

    def trials(self, params: Mapping[str, Any]) -> list[Trial]:
        """Returns the trials of all cells with these settings, in order. UserError where a split is missing."""
        return make_trials(self.config, self.layout, self._cells, params)

    @property
    def cells(self) -> int:
        """Number of cells."""
        return len(self._cells)

    @property
    def grace(self) -> int:
        """Number of cells before a setting may be stopped: one pass over the proportions."""
        return len(self.proportions)

    def expected_cells(self) -> list[float]:
        """Returns, for each cell, the share of settings that are expected to reach it."""
        passes = [index // self.grace for index in range(self.cells)]
        return [HALVING ** -float(math.floor(math.log(done, HALVING)) + 1 if done else 0) for done in passes]
