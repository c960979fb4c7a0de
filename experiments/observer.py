"""What the driver does when something happens to a trial."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from ray import tune

from data.errors import DataError
from experiments.grid import Trial
from experiments.live import Live
from experiments.progress import Progress
from experiments.reasons import of_death
from experiments.tracker import Tracker
from experiments.trials import TrialFolder, TrialStore
from experiments.watchdog import stood_at
from experiments.worker import OUTCOME, REASON, ROW


class Observer(tune.Callback):
    """Keeps the progress, the live line and MLflow up to date; notes trials whose process died for good."""

    def __init__(self, store: TrialStore, progress: Progress, tracker: Tracker, live: Live) -> None:
        self.store, self.progress, self.tracker, self.live = store, progress, tracker, live
        self.heard: dict[str, float] = {}  # when each trial was last heard of

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune keeps a copy of its callbacks for restoring a sweep, which the trial store does here

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        ours = _ours(trial)
        self.heard[ours.identity] = time.monotonic()
        self.progress.begin(ours.identity)
        self.tracker.begin(ours)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        self.heard[_ours(trial).identity] = time.monotonic()
        if OUTCOME in result:
            self._end(_ours(trial), result.get(REASON))
        else:
            self.tracker.row(_ours(trial), result[ROW])

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.live.note(f"{_ours(trial)}: its worker process died; trying once more")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        details = Path(trial.error_file).read_text(encoding="utf-8")
        reason = of_death(details)
        limit, stood = trial.config["task"]["limit"], stood_at(self.store.folder(_ours(trial).identity).stuck)
        # Where it stood is noted on its own machine, which need not be this one.
        if stood or time.monotonic() - self.heard[_ours(trial).identity] >= limit:
            reason = f"an epoch took more than {limit:g} seconds, twice (compute.epoch_seconds)"
            details = stood or details
        self.store.folder(_ours(trial).identity).fail(reason, details)
        self._end(_ours(trial), reason)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self.live.due:
            missed = f"; MLflow cannot be told now ({trouble})" if (trouble := self.tracker.trouble) else ""
            self.live.show(f"{self.progress}{missed}")

    def _end(self, trial: Trial, failure: str | None) -> None:
        folder = self._brought(trial)
        if failure is not None and folder.result() is None and folder.failure() is None:
            folder.fail(failure)
        self.progress.end(trial.identity, failure)
        self.tracker.end(trial)
        if failure is not None:
            self.live.note(f"{trial} failed: {failure}")

    def _brought(self, trial: Trial) -> TrialFolder:
        """The trial's folder, with what its worker has written; what cannot be brought now is at the sweep's end."""
        with suppress(DataError):
            self.store.fetch([trial.identity])
        return self.store.folder(trial.identity)


def _ours(trial: Any) -> Trial:
    return trial.config["task"]["trial"]
