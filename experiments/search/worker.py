"""What runs in a worker process of a search: a setting, cell after cell, one step an epoch."""

from __future__ import annotations

import statistics
from collections.abc import Generator, Sequence
from contextlib import closing
from typing import Any

import torch
from ray import tune

from experiments.grid import Layout, Trial
from experiments.search.protocol import Setting
from experiments.systems.contract import System
from experiments.trial import TrialFailed, epochs, set_up
from experiments.trials import TrialStore

# Of a result: how many cells are done, their mean, each one's validation accuracy, their seconds, why it failed.
DONE_CELLS, SCORE, CELLS, SECONDS, REASON = "cells_done", "score", "cells", "seconds", "reason"


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
        except TrialFailed as error:
            return {REASON: str(error), "done": True}

    def cleanup(self) -> None:
        self.results.close()


def _run(task: dict[str, Any], device: torch.device) -> Generator[dict[str, Any]]:
    """A result for each epoch, empty, and for each cell that is done; those done before cost nothing."""
    store, layout, trials = TrialStore(task["layout"].searches), task["layout"], task["trials"]
    found: list[dict[str, Any]] = []
    for trial in trials:
        folder = store.folder(trial.identity)
        with closing(epochs(trial, task["system"], layout, folder, device, validation_only=True)) as rows:
            for _ in rows:
                yield {}
        result = folder.result()
        assert result is not None
        found.append(result)
        cells = [result["validation_accuracy"] for result in found]
        yield {
            DONE_CELLS: len(cells),
            SCORE: statistics.fmean(cells),
            CELLS: cells,
            SECONDS: sum(result["seconds"] for result in found),
            "done": len(cells) == len(trials),
        }


def task(
    setting: Setting, trials: Sequence[Trial], system: System, layout: Layout, threads: int, gpu: bool, keep: bool
) -> dict[str, Any]:
    """What a worker has to know; `keep` says that the setting is not to be stopped early."""
    return {
        "number": setting.number,
        "trials": list(trials),
        "system": system,
        "layout": layout,
        "threads": threads,
        "gpu": gpu,
        "keep": keep,
    }
