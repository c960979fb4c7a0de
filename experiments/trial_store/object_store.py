"""A trial store on an object store such as S3. Each machine works on a copy of its own; the object store is the truth.

An object is one file of a trial's folder, under the trial's identity. `result.json` is sent last, so that a trial that
is done is there as a whole, and is never replaced. There are no locks: if two machines run the same trial, the first
result stays. A sweep holds the store by a lease, and it and its workers look at it before they change anything.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from data.errors import UserError
from data.remote.filesystems import place_errors_explained
from experiments.trial_store.contents import (
    CAPTIONER,
    CAPTIONS,
    CHECKPOINT,
    CONFIG,
    FAILURE,
    METRICS,
    PICTURES,
    PREDICTIONS,
    RESULT,
    WEIGHTS,
    Status,
)
from experiments.trial_store.folders import TrialFolder, TrialStore
from experiments.trial_store.lease import ensure_held_by, is_held, lease
from experiments.trial_store.objects import Objects, allowed

THREADS = 8  # trials whose files are fetched at the same time
SENDING = 0.05  # share of a trial's time, at most, that goes into sending its checkpoints
FETCHED = {CONFIG, METRICS, PREDICTIONS, CAPTIONS, CAPTIONER, FAILURE, RESULT}
PICTURE = re.compile(rf"{PICTURES}/[^./][^/]*\.png")
RUNNING = "running"  # an object that exists while a process is at work on the trial


@dataclass
class _Pace:
    """When the next checkpoint is sent (seconds of `time.monotonic`), and whether the last one was not sent."""

    next_at: float = 0.0
    unsent: bool = False


@dataclass(frozen=True)
class SharedFolder(TrialFolder):
    """One trial: this machine's copy of the folder, and the objects that it is a copy of."""

    objects: Objects
    running: bool = False  # on any machine
    pace: _Pace = field(default_factory=_Pace, compare=False)

    def _name(self, file: str) -> str:
        return f"{self.path.name}/{file}"

    def _send(self, *files: str) -> None:
        for file in files:
            if (self.path / file).is_file():
                self.objects.send(self.path / file, self._name(file))

    @contextmanager
    def locked(self, wait: float = 30.0) -> Iterator[None]:
        """Holds the trial for this process on this machine; first fetches what earlier attempts elsewhere have left."""
        with TrialFolder(self.path).locked(wait):
            names = self.objects.names(self.path.name)
            if self.result() is None:
                for file in (CHECKPOINT, METRICS, RESULT):
                    if self._name(file) in names:
                        self.objects.fetch(self._name(file), self.path / file)
            elif self._name(RESULT) not in names:
                self.send_result()
            self.objects.put(self._name(RUNNING), b"")
            try:
                yield
            finally:
                with suppress(UserError):  # then the work since the last checkpoint sent stays on this machine
                    if self.pace.unsent and self.result() is None:
                        self._send(METRICS, CHECKPOINT)
                    self.objects.remove(self._name(RUNNING))

    def begin(self, config: Mapping[str, Any]) -> None:
        super().begin(config)
        self._send(CONFIG)
        self.objects.remove(self._name(FAILURE))

    def set_aside_result(self) -> str | None:
        """Renames the result here and among the objects, so that no machine fetches it again."""
        name = super().set_aside_result()
        if name is not None:
            self._send(name)
            self.objects.remove(self._name(RESULT))
        return name

    def _names(self) -> set[str]:
        """Returns the names of the trial's files, here and among the objects."""
        prefix = f"{self.path.name}/"
        return super()._names() | {name.removeprefix(prefix) for name in self.objects.names(self.path.name)}

    def save_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Replaces the checkpoint here, and sends it where sending stays below its share of the time."""
        super().save_checkpoint(state)
        started = time.monotonic()
        self.pace.unsent = started < self.pace.next_at
        if not self.pace.unsent:
            self._send(METRICS, CHECKPOINT)
            taken = time.monotonic() - started
            self.pace.next_at = time.monotonic() + taken / SENDING

    def drop_checkpoint(self) -> None:
        super().drop_checkpoint()
        self.objects.remove(self._name(CHECKPOINT))

    def finish(self, result: Mapping[str, Any]) -> None:
        """Writes the result here, then sends it; if sending fails, the next attempt on this machine does it."""
        TrialFolder(self.path).finish(result)
        self.send_result()

    def send_result(self) -> None:
        """Sends all files of a trial that is done; where another machine has sent a result, that one is taken."""
        if self._name(RESULT) in self.objects.names(self.path.name):
            self._take_result()
            return
        pictures = [f"{PICTURES}/{path.name}" for path in self.pictures().values()]
        self._send(CONFIG, METRICS, *pictures, WEIGHTS, PREDICTIONS, CAPTIONS, CAPTIONER)
        if not self.objects.create(self._name(RESULT), (self.path / RESULT).read_bytes()):
            self._take_result()
        for file in (CHECKPOINT, FAILURE):
            self.objects.remove(self._name(file))

    def _take_result(self) -> None:
        for file in (METRICS, RESULT):
            self.objects.fetch(self._name(file), self.path / file)

    def fail(self, reason: str, details: str = "") -> None:
        super().fail(reason, details)
        with suppress(UserError):  # the driver of the sweep hears the reason from the worker too
            self._send(METRICS, FAILURE)

    def fetch(self, names: Iterable[str]) -> None:
        """Fetches what other machines wrote about the trial; `names` are the objects that exist of it.

        Checkpoint and weights are left out: they are large, and nothing here reads them. So is what no trial writes. A
        result that exists on this machine only is sent.
        """
        if self.result() is not None:
            if self._name(RESULT) not in names:
                self.send_result()
            return
        files = {name.removeprefix(f"{self.path.name}/") for name in names}
        files = {file for file in files if file in FETCHED or PICTURE.fullmatch(file)}
        for file in sorted(files, key=lambda file: file == RESULT):
            self.objects.fetch(self._name(file), self.path / file)
        if FAILURE not in files:
            (self.path / FAILURE).unlink(missing_ok=True)

    @property
    def place(self) -> str:
        return f"{self.objects.place}/{self.path.name}"

    @property
    def status(self) -> Status:
        known = super().status
        return "running" if self.running and known != "done" else known


class SharedStore(TrialStore):
    """All trials ever run: a folder on this machine, and the objects at a URI that it is a copy of."""

    def __init__(self, root: Path, uri: str, holder: str = "") -> None:
        """Opens the store; where `holder` is not empty, only as long as the sweep that holds it has that id."""
        super().__init__(root)
        self.uri, self.objects = uri, Objects(uri)
        self._holder = holder
        self._running: set[str] = set()
        if holder:
            self.objects.guard = lambda: ensure_held_by(self.objects.place, holder)

    @property
    def lease(self) -> str:
        return self._holder

    def folder(self, identity: str) -> SharedFolder:
        return SharedFolder(self.root / identity, self.objects, identity in self._running)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the store for one sweep on all machines while the block lasts. UserError where another has it."""
        with super().locked(), lease(self.objects.place) as held:
            self._holder, self.objects.guard = held.id, held.confirm
            try:
                yield
            finally:
                self._holder, self.objects.guard = "", allowed

    def confirm_held(self) -> None:
        with place_errors_explained(self.uri):
            self.objects.guard()

    def identities(self, start: str) -> list[str]:
        names = (name.partition("/") for name in self.objects.names())
        return sorted(identity for identity, _, file in names if file == CONFIG and identity.startswith(start))

    def fetch(self, identities: Iterable[str]) -> None:
        wanted = set(identities)
        if not wanted:
            return
        (only,) = wanted if len(wanted) == 1 else ("",)
        names: dict[str, set[str]] = {identity: set() for identity in wanted}
        for name in self.objects.names(only):
            names.get(name.partition("/")[0], set()).add(name)
        if len(wanted) > 1:
            held = is_held(self.objects.place)
            self._running = {identity for identity in wanted if held and f"{identity}/{RUNNING}" in names[identity]}
        with ThreadPoolExecutor(THREADS) as pool:
            for _ in pool.map(lambda identity: self.folder(identity).fetch(names[identity]), sorted(wanted)):
                pass

    def names(self) -> Iterable[str]:
        return self.objects.names()

    def save_facts(self, name: str, facts: Mapping[str, Any]) -> None:
        super().save_facts(name, facts)
        self.objects.send(self.root / name, name)

    def facts(self, name: str) -> dict[str, Any] | None:
        self.objects.fetch(name, self._facts_at(name))
        return super().facts(name)

    def __str__(self) -> str:
        return str(self.objects.place)

    @contextmanager
    def marked(self, name: str) -> Iterator[None]:
        self.objects.put(name, b"")
        try:
            yield
        finally:
            self.objects.remove(name)

    def lacks(self, mark: str) -> str | None:
        try:
            return None if mark in self.objects.names() else f"{self} is not the trial store that the driver sees"
        except UserError as error:
            return str(error)


def open_store(root: Path, uri: str, holder: str) -> TrialStore:
    """Returns the trial store in a folder; where `uri` is not empty, the folder is a copy of the objects at it.

    `holder` is the id of the sweep that holds those objects, and for which alone they are changed; empty for anybody.
    """
    return SharedStore(root, uri, holder) if uri else TrialStore(root)
