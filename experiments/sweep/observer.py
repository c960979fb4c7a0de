"""What the driver does when something happens to a trial: Ray Tune calls it."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray import tune

from data.errors import UserError
from experiments.sweep.live_line import Live
from experiments.sweep.progress import Progress
from experiments.sweep.tune_internals import forgive_failure
from experiments.sweep.worker import ASSIGNMENT, ENDED, NOTE, ROWS, Assignment
from experiments.tracking.mlflow_thread import Tracker
from experiments.trial_store.folders import TrialFolder, TrialStore
from experiments.trials.failures import node_lost, reason_of_death
from experiments.trials.grid import Trial
from experiments.trials.watchdog import stacks_in

LOSSES = 10  # of its node that a trial survives: Ray may report the crash of a process in the same words


class Observer(tune.Callback):
    """Keeps the progress, the live line and MLflow up to date, and notes trials whose process died for good.

    Each of Tune's trials is an assignment of one or several of ours.
    """

    def __init__(self, store: TrialStore, progress: Progress, tracker: Tracker, live: Live) -> None:
        self.store, self.progress, self.tracker, self.live = store, progress, tracker, live
        self.heard: dict[str, float] = {}  # when each of Tune's trials last reported
        self.lost: Counter[str] = Counter()  # how often each lost its node

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune saves its callbacks to restore a sweep from; here the trial store is what a sweep resumes from

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.heard[trial.trial_id] = time.monotonic()
        left = self._left(trial)
        for ours in left:
            self.progress.begin(ours.identity, len(left))
            self.tracker.begin(ours)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self.heard[trial.trial_id] = time.monotonic()
        if result[NOTE]:
            self.live.note(result[NOTE])
        for ours in self._left(trial):
            if row := result[ROWS].get(ours.identity):
                self.tracker.row(ours, row)
            if ours.identity in result[ENDED]:
                self._end(ours, result[ENDED][ours.identity])

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        left = self._left(trial)
        for ours in left:
            self.progress.wait(ours.identity)
        names = ", ".join(map(str, left))
        lost = self.lost[trial.trial_id] < LOSSES and node_lost(Path(trial.error_file).read_text(encoding="utf-8"))
        if lost:
            self.lost[trial.trial_id] += 1
            forgive_failure(trial)  # nodes may come and go as they like
            self.live.note(f"{names}: its node was lost; it goes on elsewhere")
        else:
            self.live.note(f"{names}: its worker process died; trying once more")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        details = Path(trial.error_file).read_text(encoding="utf-8")
        reason = reason_of_death(details)
        assignment: Assignment = trial.config[ASSIGNMENT]
        # The stacks are noted on the worker's machine, which may be another one.
        stacks = stacks_in(self.store.folder(assignment.trials[0].identity).stuck)
        now = time.monotonic()
        if stacks or now - self.heard.get(trial.trial_id, now) >= assignment.limit:  # not heard: it died as it started
            reason = f"an epoch took more than {assignment.limit:g} seconds, twice (compute.epoch_seconds)"
            details = stacks or details
        for ours in self._left(trial):
            self.store.folder(ours.identity).fail(reason, details)
            self._end(ours, reason)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self.live.due:
            missed = f"; MLflow cannot be reached now ({trouble})" if (trouble := self.tracker.trouble) else ""
            self.live.show(f"{self.progress}{missed}")

    def _end(self, trial: Trial, failure: str | None) -> None:
        folder = self._fetched(trial)
        if failure is not None and folder.result() is None and folder.failure() is None:
            folder.fail(failure)
        self.progress.end(trial.identity, failure)
        self.tracker.end(trial)
        if failure is not None:
            self.live.note(f"{trial} failed: {failure}")

    def _fetched(self, trial: Trial) -> TrialFolder:
        """Returns the trial's folder with what its worker wrote; what cannot be fetched now is fetched at the end."""
        with suppress(UserError):
            self.store.fetch([trial.identity])
        return self.store.folder(trial.identity)

    def _left(self, trial: Any) -> list[Trial]:
        """Returns those of our trials in one of Tune's that have not ended."""
        return [ours for ours in trial.config[ASSIGNMENT].trials if ours.identity not in self.progress.ended]
