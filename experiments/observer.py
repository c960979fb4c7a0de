"""What the driver does when something happens to a trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray import tune

from experiments.grid import Trial
from experiments.live import Live
from experiments.progress import Progress
from experiments.reasons import of_death
from experiments.tracker import Tracker
from experiments.trials import TrialStore
from experiments.watchdog import stood_at
from experiments.worker import OUTCOME, REASON, ROW


class Observer(tune.Callback):
    """Keeps the progress, the live line and MLflow up to date; notes trials whose process died for good."""

    def __init__(self, store: TrialStore, progress: Progress, tracker: Tracker, live: Live) -> None:
        self.store, self.progress, self.tracker, self.live = store, progress, tracker, live

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune keeps a copy of its callbacks for restoring a sweep, which the trial store does here

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        ours = _ours(trial)
        self.progress.begin(ours.identity)
        self.tracker.begin(ours)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if OUTCOME in result:
            self._end(_ours(trial), result.get(REASON))
        else:
            self.tracker.row(_ours(trial), result[ROW])

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self.live.note(f"{_ours(trial)}: its worker process died; trying once more")

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        details = Path(trial.error_file).read_text(encoding="utf-8")
        reason = of_death(details)
        if stood := stood_at(self.store.folder(_ours(trial).identity).stuck):
            limit = trial.config["task"]["limit"]
            reason = f"an epoch took more than {limit:g} seconds, twice (compute.epoch_seconds)"
            details = stood
        self.store.folder(_ours(trial).identity).fail(reason, details)
        self._end(_ours(trial), reason)

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self.live.due:
            missed = f"; MLflow cannot be told now ({trouble})" if (trouble := self.tracker.trouble) else ""
            self.live.show(f"{self.progress}{missed}")

    def _end(self, trial: Trial, failure: str | None) -> None:
        self.progress.end(trial.identity, failure)
        self.tracker.end(trial)
        if failure is not None:
            self.live.note(f"{trial} failed: {failure}")


def _ours(trial: Any) -> Trial:
    return trial.config["task"]["trial"]
