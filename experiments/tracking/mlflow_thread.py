"""Logs a sweep to MLflow while it runs, from a thread of the driver, so that trials never wait for MLflow."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from data.errors import UserError
from data.secrets import masked
from experiments.settings.config import Config
from experiments.tracking.server import ARTIFACTS, tracking_uri
from experiments.trial_store.folders import TrialStore
from experiments.trials.grid import Trial

if TYPE_CHECKING:
    from experiments.tracking.mlflow_runs import Record

RETRY_SECONDS = 20.0  # after an error, before the record is opened again


class Notes:
    """Takes notes, which are functions that log something, and calls them in order in a thread of its own.

    MLflow is imported and opened in that thread too. An error there is kept in `error`. It costs the notes of the next
    RETRY_SECONDS, but not the work; then the record is opened again, at the latest by `close`. Once `finish` has logged
    what was missed, `error` is None again; otherwise it can be logged later, from the trial store.

    Args:
        uri: MLflow's tracking URI.
    """

    def __init__(self, uri: str) -> None:
        self.uri = uri
        self.error: Exception | None = None
        self._opened: tuple[Any, str] | None = None
        self._notes: queue.SimpleQueue[Callable[[Any, str], Any] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="tracking", daemon=True)
        self._thread.start()
        self.put(lambda record, parent: None)  # opens the record

    @property
    def trouble(self) -> str:
        """The error in one line, without secrets; empty where there is none."""
        if self.error is None:
            return ""
        kind = "" if isinstance(self.error, UserError) else f"{type(self.error).__name__}: "
        return masked(f"{kind}{self.error}".splitlines()[0], self.uri)

    def put(self, note: Callable[[Any, str], Any]) -> None:
        """Has the note called, with what `open` returned, after those before it."""
        self._notes.put(note)

    def close(self) -> None:
        """Waits until all notes, and what was missed before, are logged."""
        self._notes.put(None)
        self._thread.join()

    def open(self) -> tuple[Any, str]:
        """Returns the record, and the run that is the parent of all others."""
        raise TypeError(f"{type(self).__name__} does not define open()")

    def confirm(self) -> None:
        """Raises an error where nothing may be logged now; called before each note."""

    def finish(self, record: Any, parent: str) -> None:
        """Logs whatever notes were lost; called after the last one."""

    def _work(self) -> None:
        retry_at = time.monotonic()
        while (note := self._notes.get()) is not None:
            if (self._opened or time.monotonic() >= retry_at) and not self._log(note):
                retry_at = time.monotonic() + RETRY_SECONDS
        if self._log(self.finish):
            self.error = None

    def _log(self, note: Callable[[Any, str], Any]) -> bool:
        """Opens the record where it is not open and calls the note; returns False where either raised an error."""
        try:
            self.confirm()
            self._opened = self._opened or self.open()
            note(*self._opened)
        except Exception as error:  # whatever happens to the tracking store, the work goes on
            self.error, self._opened = error, None
        return self._opened is not None


class Tracker(Notes):
    """Logs what happens to the trials of a sweep; `python -m experiments sync` logs what it missed."""

    def __init__(self, config: Config, trials: Sequence[Trial], store: TrialStore) -> None:
        self.runs: dict[str, str] = {}  # MLflow's runs by identity, complete once closed without an error
        self._config, self._trials, self._store = config, trials, store
        self._begun: set[str] = set()
        super().__init__(tracking_uri(config))

    def begin(self, trial: Trial) -> None:
        """Logs that the trial has begun, or begun again."""
        self._begun.add(trial.identity)
        self.put(lambda record, parent: record.begin(trial, parent))

    def row(self, trial: Trial, row: dict[str, float]) -> None:
        """Logs the row of an epoch of the trial."""

        def note(record: Record, parent: str) -> None:
            # The note of the trial's beginning may be lost.
            run = record.runs.get(trial.identity) or record.begin(trial, parent)
            record.follow(run, row, self._store.folder(trial.identity))

        self.put(note)

    def end(self, trial: Trial) -> None:
        """Logs that the trial is done or has failed, from its folder."""
        self.put(lambda record, parent: record.complete(trial, self._store.folder(trial.identity), parent))

    def confirm(self) -> None:
        self._store.confirm_held()  # another sweep may have taken over, and logs the same trials

    def open(self) -> tuple[Record, str]:
        from experiments.tracking.mlflow_runs import Record

        record = Record(self.uri, self._config.dataset, ARTIFACTS)
        self.runs = record.runs
        return record, record.sweep(self._config.params.profile, self._config.resolved())

    def finish(self, record: Record, parent: str) -> None:
        from experiments.tracking.mlflow_runs import sync

        sync(record, parent, self._trials, self._store)
        for identity in self._begun & record.runs.keys():
            if not record.recorded.get(identity):  # neither done nor failed
                record.stop(record.runs[identity])
