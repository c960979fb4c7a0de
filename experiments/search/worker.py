"""What a worker process of a search runs: one setting on cell after cell, one step per epoch."""

from __future__ import annotations

import statistics
from collections.abc import Generator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from ray import tune

from data.errors import UserError
from experiments.learning.device import set_up
from experiments.trial_store.layout import Layout
from experiments.trials.grid import Trial
from experiments.trials.run import epochs
from experiments.trials.training import JUDGES, TrialFailed

# Keys of a report: number of cells done, mean of their scores, each one's score, their seconds in all, each one's
# operations, and the reason of a failure.
DONE_CELLS, SCORE, CELLS, SECONDS, OPERATIONS, REASON = (
    "cells_done",
    "score",
    "cells",
    "seconds",
    "operations",
    "reason",
)
ASSIGNMENT = "assignment"  # key of an Assignment in the config of Tune's trial


@dataclass(frozen=True)
class Assignment:
    """A setting for a worker process, which may be on another machine: data travel as paths."""

    number: int  # of the setting in its study
    trials: tuple[Trial, ...]  # the setting in each cell, in order
    layout: Layout  # absolute
    threads: int
    gpu: bool
    keep: bool  # whether the setting is never stopped early


class SearchWorker(tune.Trainable):
    """Runs setting after setting in one process. A report follows each epoch, an empty one unless a cell is done."""

    def setup(self, config: dict[str, Any]) -> None:
        assignment: Assignment = config[ASSIGNMENT]
        self.device = set_up(assignment.threads, assignment.gpu)
        self.reports = _reports(assignment, self.device)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.reports.close()
        self.reports = _reports(new_config[ASSIGNMENT], self.device)
        return True

    def step(self) -> dict[str, Any]:
        try:
            return next(self.reports)
        except (TrialFailed, UserError) as error:
            return {REASON: str(error), "done": True}

    def cleanup(self) -> None:
        self.reports.close()


def _reports(assignment: Assignment, device: torch.device) -> Generator[dict[str, Any]]:
    """Runs the setting's trials; yields an empty report after each epoch, and a full one after each cell.

    A cell whose trial is done already takes no time.
    """
    layout, trials = assignment.layout.of_worker(), assignment.trials
    layout.bring(trials[0].dataset)
    store, judge = layout.search_store, JUDGES[trials[0].learned_by.learns]
    results: list[dict[str, Any]] = []
    for trial in trials:
        folder = store.folder(trial.identity)
        with closing(epochs(trial, layout, folder, device, validation_only=True)) as rows:
            for _ in rows:
                yield {}
        result = folder.result()
        assert result is not None
        results.append(result)
        cells = [result[judge.score_name] for result in results]
        yield {
            DONE_CELLS: len(cells),
            SCORE: statistics.fmean(cells),
            CELLS: cells,
            SECONDS: sum(result["seconds"] for result in results),
            OPERATIONS: [result["operations"] for result in results],
            "done": len(cells) == len(trials),
        }
