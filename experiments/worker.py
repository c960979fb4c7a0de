"""What runs in a worker process: Ray Tune's view of a trial, one step an epoch."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

from ray import tune

from data.errors import DataError
from experiments.errors import UserError
from experiments.grid import Layout, Trial
from experiments.systems.contract import System
from experiments.trial import Row, TrialFailed, epochs, set_up
from experiments.trials import TrialFolder
from experiments.watchdog import within

ROW, OUTCOME, REASON = "row", "outcome", "reason"


class Worker(tune.Trainable):
    """Runs trial after trial in one process. Its config has what `task` makes under the key `task`.

    A trial that fails ends like any other, with its reason in its folder: only a process that dies is
    Tune's business.
    """

    def setup(self, config: dict[str, Any]) -> None:
        self.device = set_up(config["task"]["threads"], config["task"]["gpu"])
        self.rows = self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.rows.close()
        self.rows = self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> Generator[Row]:
        task = config["task"]
        layout = task["layout"].of_worker()
        folder = layout.trial_store.folder(task["trial"].identity)
        folder.path.mkdir(parents=True, exist_ok=True)
        self.limit, self.stuck = task["limit"], folder.stuck
        return self._rows(task["trial"], task["system"], layout, folder)

    def _rows(self, trial: Trial, system: System, layout: Layout, folder: TrialFolder) -> Generator[Row]:
        layout.bring(trial.dataset)
        yield from epochs(trial, system, layout, folder, self.device)

    def step(self) -> dict[str, Any]:
        try:
            with within(self.limit, self.stuck):
                row = next(self.rows, None)
        except (TrialFailed, UserError, DataError) as error:
            return {OUTCOME: "failed", REASON: str(error), "done": True}
        return {OUTCOME: "done", "done": True} if row is None else {ROW: row}

    def cleanup(self) -> None:
        self.rows.close()


def task(trial: Trial, system: System, layout: Layout, threads: int, gpu: bool, limit: float) -> dict[str, Any]:
    """What a worker has to know. The system travels as a reference to its class, and data as paths.

    `limit` is how many seconds an epoch may take before its process is ended.
    """
    return {"trial": trial, "system": system, "layout": layout, "threads": threads, "gpu": gpu, "limit": limit}
