"""What runs in a worker process: Ray Tune's view of a trial, or of several that train as one, one step an epoch."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import Any

from ray import tune

from data.errors import UserError
from experiments.learning.contract import System
from experiments.learning.device import set_up
from experiments.trial_store.layout import Layout
from experiments.trials.grid import Trial
from experiments.trials.run_together import Round, rounds
from experiments.trials.watchdog import within

ROWS, ENDED, NOTE = "rows", "ended", "note"


class Worker(tune.Trainable):
    """Runs stack after stack of trials in one process. Its config has what `task` makes under the key `task`.

    A trial that fails ends like any other, with its reason in its folder: only a process that dies is
    Tune's business.
    """

    def setup(self, config: dict[str, Any]) -> None:
        self.device = set_up(config["task"]["threads"], config["task"]["gpu"])
        self.rounds = self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.rounds.close()
        self.rounds = self._begin(new_config)
        return True

    def _begin(self, config: dict[str, Any]) -> Generator[Round]:
        task = config["task"]
        layout = task["layout"].of_worker()
        folder = layout.trial_store.folder(task["trials"][0].identity)
        folder.path.mkdir(parents=True, exist_ok=True)
        self.limit, self.stuck = task["limit"], folder.stuck
        self.left = {trial.identity for trial in task["trials"]}
        return self._rounds(task["trials"], task["system"], layout)

    def _rounds(self, trials: Sequence[Trial], system: System, layout: Layout) -> Generator[Round]:
        layout.bring(trials[0].dataset)
        yield from rounds(trials, system, layout, layout.trial_store, self.device)

    def step(self) -> dict[str, Any]:
        try:
            with within(self.limit, self.stuck):
                found = next(self.rounds)
        except UserError as error:
            return {ROWS: {}, ENDED: dict.fromkeys(self.left, str(error)), NOTE: "", "done": True}
        self.left -= found.ended.keys()
        return {ROWS: found.rows, ENDED: found.ended, NOTE: found.note, "done": not self.left}

    def cleanup(self) -> None:
        self.rounds.close()


def task(
    trials: Sequence[Trial], system: System, layout: Layout, threads: int, gpu: bool, limit: float
) -> dict[str, Any]:
    """What a worker has to know. The system travels as a reference to its class, and data as paths.

    `limit` is how many seconds an epoch of all the trials may take before their process is ended.
    """
    return {"trials": trials, "system": system, "layout": layout, "threads": threads, "gpu": gpu, "limit": limit}
