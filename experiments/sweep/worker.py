"""What a worker process of a sweep runs: Ray Tune's view of a stack of trials, one step per epoch.

Trials that train together as one program are a stack; a trial that trains alone is a stack of one.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

from ray import tune

from data.errors import UserError
from experiments.learning.device import set_up
from experiments.trial_store.layout import Layout
from experiments.trials.grid import Trial
from experiments.trials.run_together import Round, rounds
from experiments.trials.watchdog import within

ROWS, ENDED, NOTE = "rows", "ended", "note"  # keys of what a worker reports: the fields of a Round
ASSIGNMENT = "assignment"  # key of an Assignment in the config of Tune's trial


@dataclass(frozen=True)
class Assignment:
    """A stack of trials for a worker process, which may be on another machine: data travel as paths."""

    trials: tuple[Trial, ...]
    layout: Layout  # absolute
    threads: int
    gpu: bool
    limit: float  # seconds that an epoch of the whole stack may take before its process is ended


class Worker(tune.Trainable):
    """Runs stack after stack of trials in one process.

    A trial that fails ends like any other, with its reason in its folder. Tune only has to deal with a process that
    dies.
    """

    def setup(self, config: dict[str, Any]) -> None:
        assignment: Assignment = config[ASSIGNMENT]
        self.device = set_up(assignment.threads, assignment.gpu)
        self._begin(assignment)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self.rounds.close()
        self._begin(new_config[ASSIGNMENT])
        return True

    def _begin(self, assignment: Assignment) -> None:
        layout = assignment.layout.of_worker()
        folder = layout.trial_store.folder(assignment.trials[0].identity)
        folder.path.mkdir(parents=True, exist_ok=True)
        self.limit, self.stuck = assignment.limit, folder.stuck
        self.left = {trial.identity for trial in assignment.trials}
        self.rounds = self._rounds(assignment.trials, layout)

    def _rounds(self, trials: tuple[Trial, ...], layout: Layout) -> Generator[Round]:
        layout.bring(trials[0].dataset)
        yield from rounds(trials, layout, layout.trial_store, self.device)

    def step(self) -> dict[str, Any]:
        try:
            with within(self.limit, self.stuck):
                done = next(self.rounds)
        except UserError as error:
            return {ROWS: {}, ENDED: dict.fromkeys(self.left, str(error)), NOTE: "", "done": True}
        self.left -= done.ended.keys()
        return {ROWS: done.rows, ENDED: done.ended, NOTE: done.note, "done": not self.left}

    def cleanup(self) -> None:
        self.rounds.close()
