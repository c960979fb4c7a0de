"""The trial store: one folder per identity, which is the truth about what was run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from data.errors import UserError
from data.remote.names import stays_inside
from experiments.files import drop_partial, write_json, write_whole
from experiments.trial_store import schema
from experiments.trial_store.contents import (
    CAPTIONER,
    CAPTIONS,
    CHECKPOINT,
    CONFIG,
    FAILURE,
    LOCK,
    METRICS,
    PREDICTIONS,
    RESULT,
    WEIGHTS,
    Contents,
)
from experiments.trial_store.predictions import Predictions

ASIDE = ".set-aside"  # with a number, what follows the name of a result that does not hold
BELONGING = re.compile(r"[0-9a-f]{16}(/|$)|\.lock$|lease\.json$|sweep-.*\.json$|search(/|$)")  # names in a store


@dataclass(frozen=True)
class TrialFolder(Contents):
    """One trial's folder, for the process that runs the trial: what it writes there."""

    @contextmanager
    def locked(self, wait: float = 30.0) -> Iterator[None]:
        """Holds the trial for this process while the block lasts; the lock ends with the process, however that ends.

        Raises:
            UserError: another process still holds the trial after `wait` seconds.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.path / LOCK)
        try:
            lock.acquire(timeout=wait)
        except Timeout:
            raise UserError(f"trial {self.path.name} is being run by another process ({self.path})") from None
        try:
            yield
        finally:
            lock.release()

    def begin(self, config: Mapping[str, Any]) -> None:
        """Begins an attempt: writes what the trial is; removes the failure and partial files of earlier attempts.

        A result that is there does not hold, or else there would be no attempt: it is set aside.
        """
        drop_partial(self.path)
        self.set_aside_result()
        write_json(self.path / CONFIG, dict(config))
        (self.path / FAILURE).unlink(missing_ok=True)

    def set_aside_result(self) -> str | None:
        """Renames the result, if there is one; returns its new name, which no other file has."""
        if not (self.path / RESULT).exists():
            return None
        taken = self._names()
        name = next(name for number in count(1) if (name := f"{RESULT}{ASIDE}-{number}") not in taken)
        (self.path / RESULT).rename(self.path / name)
        return name

    def _names(self) -> set[str]:
        """Returns the names of the trial's files."""
        return {path.name for path in self.path.iterdir()}

    def set_rows(self, rows: list[dict[str, Any]]) -> None:
        """Replaces all rows; an attempt starts with the rows of its checkpoint."""
        text = "".join(json.dumps(row) + "\n" for row in rows)
        write_whole(self.path / METRICS, lambda stream: stream.write(text.encode()))

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Adds an epoch's row."""
        with (self.path / METRICS).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(dict(row)) + "\n")

    def save_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Replaces the checkpoint as a whole; `state` has tensors and plain values only."""
        import torch

        write_whole(self.path / CHECKPOINT, lambda stream: torch.save(dict(state), stream))

    def save_weights(self, weights: Mapping[str, Any]) -> None:
        """Writes the weights that were tested: the model's state dictionary."""
        import torch

        write_whole(self.path / WEIGHTS, lambda stream: torch.save(dict(weights), stream))

    def save_predictions(self, predictions: Predictions) -> None:
        """Writes the predictions of the test images."""
        write_json(self.path / PREDICTIONS, predictions.packed())

    def save_captions(self, captions: Sequence[Mapping[str, Any]]) -> None:
        """Writes the captions of test images."""
        write_json(self.path / CAPTIONS, {"captions": list(captions)})

    def save_captioner(self, description: Mapping[str, Any]) -> None:
        """Writes what is needed beside the weights to caption pictures."""
        write_json(self.path / CAPTIONER, dict(description))

    def drop_checkpoint(self) -> None:
        """Removes the checkpoint, so that the next attempt starts anew."""
        (self.path / CHECKPOINT).unlink(missing_ok=True)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Writes the result: the trial is done for ever, and its checkpoint is removed."""
        write_json(self.path / RESULT, dict(result))
        self.drop_checkpoint()
        (self.path / FAILURE).unlink(missing_ok=True)

    def fail(self, reason: str, details: str = "") -> None:
        """Writes why the trial failed, unless the disk is too full for that; the checkpoint stays."""
        # A message may name a file whose name is no text; such letters are written as "?".
        reason, details = (text.encode(errors="replace").decode() for text in (reason, details))
        with suppress(OSError):
            write_json(self.path / FAILURE, {"reason": reason or "no reason was given", "details": details})


@dataclass(frozen=True)
class TrialStore:
    """All trials ever run, in one folder that every machine which runs trials sees."""

    root: Path

    @property
    def lease(self) -> str:
        """The id under which a sweep holds a store that has no locks; empty where there is none."""
        return ""

    def folder(self, identity: str) -> TrialFolder:
        """Returns the folder of a trial; it need not exist."""
        return TrialFolder(self.root / identity)

    def identities(self, start: str) -> list[str]:
        """Returns the identities of all trials ever begun that start with `start`."""
        return self._with(CONFIG, start)

    def captioners(self, start: str) -> list[str]:
        """Identities that start so of the trials in this folder that kept a captioner."""
        return self._with(CAPTIONER, start)

    def _with(self, file: str, start: str) -> list[str]:
        found = (path.parent.name for path in self.root.glob(f"*/{file}"))
        return sorted(identity for identity in found if identity.startswith(start))

    def names(self) -> Iterable[str]:
        """Returns the names of what lies in the store; a trial's may be that of its folder or those of its files."""
        return os.listdir(self.root) if self.root.is_dir() else []

    def check_begun(self) -> None:
        """Raises UserError where the place is no trial store: nothing that a sweep or a trial writes is in it."""
        if not any(BELONGING.match(name) for name in self.names()):
            raise UserError(
                f"{self} is no trial store: name the one that trials are kept in with --store "
                "(`python -m experiments run` makes it)"
            )

    def fetch(self, identities: Iterable[str]) -> None:
        """Brings what other machines wrote about some trials to this machine; in a folder that all see, it is there."""

    def save_facts(self, name: str, facts: Mapping[str, Any]) -> None:
        """Writes facts about a sweep under a file name."""
        write_json(self._facts_at(name), dict(facts))

    def facts(self, name: str) -> dict[str, Any] | None:
        """Returns what `save_facts` wrote under the name; None where nothing was written.

        Raises:
            UserError: what is there does not hold.
        """
        facts, fault = schema.read(self._facts_at(name), schema.SweepFacts)
        if fault:
            raise UserError(f"{self}/{name}: {fault}: `python -m experiments run` writes it anew")
        return facts

    def _facts_at(self, name: str) -> Path:
        if not stays_inside(name):
            raise UserError(f"{name!r} leads out of the trial store {self}: call the profile by another name")
        return self.root / name

    def __str__(self) -> str:
        return str(self.root)

    @contextmanager
    def marked(self, name: str) -> Iterator[None]:
        """Keeps an empty file of that name in the store while the block lasts."""
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / name).touch()
        try:
            yield
        finally:
            (self.root / name).unlink(missing_ok=True)

    def lacks(self, mark: str) -> str | None:
        """Says what is wrong with the store as this machine sees it; None where nothing is.

        `mark` is the name of a `marked` block of the driver: a store without it is another one.
        """
        if not (self.root / mark).is_file():
            return f"{self.root} is not the trial store that the driver sees"
        return None if os.access(self.root, os.W_OK) else f"{self.root} cannot be written"

    def confirm_held(self) -> None:
        """Makes sure that the store is still held, in a `locked` block. UserError where another sweep has it now.

        A lock on a folder cannot be lost.
        """

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Holds the store for one sweep while the block lasts.

        Raises:
            UserError: another sweep holds the store, or it cannot be written.
        """
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self.root / LOCK)
            lock.acquire(blocking=False)
        except Timeout:
            raise UserError(
                f"another sweep is running on {self.root}: wait for it (`python -m experiments status`), "
                "or name another store with --store"
            ) from None
        except OSError as error:
            raise UserError(
                f"cannot write the trial store {self.root} ({error.strerror or error}): "
                "make it writable, or name another one with --store"
            ) from error
        try:
            yield
        finally:
            lock.release()
