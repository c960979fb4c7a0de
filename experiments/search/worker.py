"""What runs in a worker process of a search: a setting, cell after cell, one step an epoch."""

from __future__ import annotations

import statistics
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any

import torch
from ray import tune

from data.errors import UserError
from experiments.learning.contract import System
from experiments.learning.device import set_up
from experiments.search.operations import operations
from experiments.search.protocol import Setting
from experiments.trial_store.layout import Layout
from experiments.trials.grid import Trial
from experiments.trials.run import epochs
from experiments.trials.training import TrialFailed

# Of a result: how many cells are done, their mean, each one's validation accuracy, their seconds, why it failed.
DONE_CELLS, SCORE, CELLS, SECONDS, REASON = "cells_done", "score", "cells", "seconds", "reason"
OPERATIONS = "operations"  # each one's, where the task has `cost`


class SearchWorker(tune.Trainable):
    """Runs setting after setting in one process. Its config has what `task` makes under the key `task`."""

    def setup(self, config: dict[str, Any]) -> None:
        self.device = set_up(config["task"]["threads"], config["task"]["gpu"])
        self.results = _run(config["task"], self.device)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.results.close()
        self.results = _run(new_config["task"], self.device)
        return True

    def step(self) -> dict[str, Any]:
        try:
            return next(self.results)
        except (TrialFailed, UserError) as error:
            return {REASON: str(error), "done": True}

    def cleanup(self) -> None:
        self.results.close()


def _run(task: dict[str, Any], device: torch.device) -> Generator[dict[str, Any]]:
    """A result for each epoch, empty, and for each cell that is done; those done before cost nothing."""
    layout, trials = task["layout"].of_worker(), task["trials"]
    layout.bring(trials[0].dataset)
    store = layout.search_store
    found: list[dict[str, Any]] = []
    counted: list[float] = []
    for trial in trials:
        folder = store.folder(trial.identity)
        with closing(epochs(trial, task["system"], layout, folder, device, validation_only=True)) as rows:
            for _ in rows:
                yield {}
        result = folder.result()
        assert result is not None
        found.append(result)
        if task["cost"]:
            counted.append(operations(trial, layout, device, folder.rows()))
        measure = next(name for name in found[0] if name.startswith("validation_"))  # that of the system's judge
        cells = [result[measure] for result in found]
        yield {
            DONE_CELLS: len(cells),
            SCORE: statistics.fmean(cells),
            CELLS: cells,
            SECONDS: sum(result["seconds"] for result in found),
            OPERATIONS: list(counted),
            "done": len(cells) == len(trials),
        }


def task(
    setting: Setting,
    trials: Sequence[Trial],
    system: System,
    layout: Layout,
    threads: int,
    gpu: bool,
    keep: bool,
    cost: bool,
) -> dict[str, Any]:
    """What a worker has to know; `keep` says that the setting is not to be stopped early, `cost` that operations are
    to be counted."""
    return {
        "number": setting.number,
        "trials": list(trials),
        "system": system,
        "layout": layout,
        "threads": threads,
        "gpu": gpu,
        "keep": keep,
        "cost": cost,
    }
