"""The trial store: one folder per identity, which is the truth about what was run."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from data.errors import UserError
from experiments.files import drop_partial, read_json, write_json, write_whole

CONFIG, METRICS, CHECKPOINT = "config.json", "metrics.jsonl", "checkpoint.pt"
WEIGHTS, RESULT, FAILURE, PICTURES, LOCK = "weights.pt", "result.json", "failure.json", "pictures", ".lock"
STUCK, CAPTIONS, CAPTIONER = "stuck.txt", "captions.json", "captioner.json"

Status = Literal["done", "running", "failed", "missing"]
STATUSES: tuple[Status, ...] = ("done", "running", "failed", "missing")


@dataclass(frozen=True)
class TrialFolder:
    """The files of one trial, in a folder that is called by the trial's identity (the hash that names it).

    - `config.json`: what the trial is.
    - `metrics.jsonl`: a row for each epoch.
    - `checkpoint.pt`: the state from which training goes on.
    - `weights.pt`: the model that was tested.
    - `pictures/`: what the model drew.
    - `captions.json`: its captions of test images.
    - `captioner.json`: what `python -m vae` needs beside the weights to caption pictures.
    - `failure.json`: why the last attempt failed.
    - `stuck.txt`: where an attempt stood that took too long.
    - `result.json`: the result, written last.
    """

    path: Path

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
        """Begins an attempt: writes what the trial is; removes the failure and partial files of earlier attempts."""
        drop_partial(self.path)
        write_json(self.path / CONFIG, dict(config))
        (self.path / FAILURE).unlink(missing_ok=True)

    def rows(self) -> list[dict[str, Any]]:
        """Returns the rows of all epochs in order, each epoch once; a row that was cut short is left out."""
        try:
            lines = (self.path / METRICS).read_text(encoding="utf-8").splitlines()
        except FileNotFoundError:
            return []
        rows: dict[int, dict[str, Any]] = {}
        for line in lines:
            try:
                row = json.loads(line)
                rows[row["epoch"]] = row
            except (ValueError, KeyError, TypeError):
                continue
        return [rows[epoch] for epoch in sorted(rows)]

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

    def checkpoint(self) -> dict[str, Any] | None:
        """Returns what `save_checkpoint` saved, with tensors on the CPU; None where no checkpoint can be read."""
        import torch

        try:
            return torch.load(self.path / CHECKPOINT, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except Exception:  # whatever a damaged file makes the reader raise, the remedy is to start anew
            return None

    def save_weights(self, weights: Mapping[str, Any]) -> None:
        """Writes the weights that were tested: the model's state dictionary."""
        import torch

        write_whole(self.path / WEIGHTS, lambda stream: torch.save(dict(weights), stream))

    def save_captions(self, captions: Sequence[Mapping[str, Any]]) -> None:
        """Writes the captions of test images."""
        write_json(self.path / CAPTIONS, {"captions": list(captions)})

    def captions(self) -> list[dict[str, Any]]:
        """Returns what `save_captions` wrote; an empty list where there is nothing."""
        return (read_json(self.path / CAPTIONS) or {}).get("captions", [])

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
        with suppress(OSError):
            write_json(self.path / FAILURE, {"reason": reason, "details": details})

    @property
    def place(self) -> str:
        """The folder's path or URI, for messages."""
        return str(self.path)

    @property
    def stuck(self) -> Path:
        """The file that says where an attempt stood that took too long."""
        return self.path / STUCK

    def config(self) -> dict[str, Any] | None:
        """Returns what `begin` wrote."""
        return read_json(self.path / CONFIG)

    def result(self) -> dict[str, Any] | None:
        """Returns the result; None where there is no whole one."""
        return read_json(self.path / RESULT)

    def failure(self) -> dict[str, Any] | None:
        """Returns reason and details of the last attempt's failure; None where it did not fail."""
        return read_json(self.path / FAILURE)

    def pictures(self) -> dict[str, Path]:
        """Returns the paths of the pictures by name."""
        return {path.stem: path for path in sorted((self.path / PICTURES).glob("*.png"))}

    def is_held(self) -> bool:
        """Returns whether a process holds the trial now."""
        if not (self.path / LOCK).exists():
            return False
        lock = FileLock(self.path / LOCK)
        try:
            lock.acquire(blocking=False)
        except Timeout:
            return True
        lock.release()
        return False

    @property
    def status(self) -> Status:
        """The trial's status.

        "done": it has a result; "running": a process holds it; "failed": its last attempt failed; "missing": it was
        never begun, or stopped half-way.
        """
        if not self.path.is_dir():
            return "missing"
        if self.result() is not None:
            return "done"
        if self.is_held():
            return "running"
        return "missing" if self.failure() is None else "failed"


@dataclass(frozen=True)
class TrialStore:
    """All trials ever run, in one folder that every machine which runs trials sees."""

    root: Path

    def folder(self, identity: str) -> TrialFolder:
        """Returns the folder of a trial; it need not exist."""
        return TrialFolder(self.root / identity)

    def identities(self, start: str) -> list[str]:
        """Returns the identities of all trials ever begun that start with `start`."""
        return sorted(path.parent.name for path in self.root.glob(f"{start}*/{CONFIG}"))

    def captioners(self, start: str) -> list[str]:
        """Identities that start so of the trials in this folder that kept a captioner."""
        return sorted(path.parent.name for path in self.root.glob(f"{start}*/{CAPTIONER}"))

    def fetch(self, identities: Iterable[str]) -> None:
        """Brings what other machines wrote about some trials to this machine; in a folder that all see, it is there."""

    def save_facts(self, name: str, facts: Mapping[str, Any]) -> None:
        """Writes facts about a sweep under a file name."""
        write_json(self.root / name, dict(facts))

    def facts(self, name: str) -> dict[str, Any] | None:
        """Returns what `save_facts` wrote under the name; None where nothing was written."""
        return read_json(self.root / name)

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
