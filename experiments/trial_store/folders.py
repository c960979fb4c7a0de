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
STUCK, SAID, CAPTIONER = "stuck.txt", "captions.json", "captioner.json"

Status = Literal["done", "running", "failed", "missing"]
STATUSES: tuple[Status, ...] = ("done", "running", "failed", "missing")


@dataclass(frozen=True)
class TrialFolder:
    """What is known about one trial.

    `config.json` says what it is, `metrics.jsonl` has one row per epoch, `checkpoint.pt` is where it goes on,
    `pictures/` what it drew, `weights.pt` the model that was tested, `captions.json` what it said of test images and
    `captioner.json` what `python -m vae` must know to say more; `failure.json` says why it failed, `stuck.txt`
    where it stood when it took too long, `result.json`, written last, what it found.
    """

    path: Path

    @contextmanager
    def alone(self, wait: float = 30.0) -> Iterator[None]:
        """Holds the trial for this process; the system lets go of it when the process dies, however it dies.

        UserError where another process still holds it after `wait` seconds.
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
        """Notes what the trial is; an earlier attempt's failure is forgotten, and what it had half written is gone."""
        drop_partial(self.path)
        write_json(self.path / CONFIG, dict(config))
        (self.path / FAILURE).unlink(missing_ok=True)

    def rows(self) -> list[dict[str, Any]]:
        """The epochs' rows in order, each epoch once; a row that was cut short is left out."""
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
        """Replaces all rows: an attempt starts with those of the checkpoint that it goes on from."""
        text = "".join(json.dumps(row) + "\n" for row in rows)
        write_whole(self.path / METRICS, lambda stream: stream.write(text.encode()))

    def add_row(self, row: Mapping[str, Any]) -> None:
        """Adds an epoch's row."""
        with (self.path / METRICS).open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(dict(row)) + "\n")

    def save_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Replaces the checkpoint, whole; `state` holds tensors and plain values only."""
        import torch

        write_whole(self.path / CHECKPOINT, lambda stream: torch.save(dict(state), stream))

    def checkpoint(self) -> dict[str, Any] | None:
        """What `save_checkpoint` saved, its tensors on the CPU; None where there is none that can be read."""
        import torch

        try:
            return torch.load(self.path / CHECKPOINT, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except Exception:  # whatever a damaged file makes the reader raise, the remedy is to start anew
            return None

    def save_weights(self, weights: Mapping[str, Any]) -> None:
        """Keeps the weights that were tested, a model's state dictionary."""
        import torch

        write_whole(self.path / WEIGHTS, lambda stream: torch.save(dict(weights), stream))

    def save_said(self, said: Sequence[Mapping[str, Any]]) -> None:
        """Keeps the captions of test images."""
        write_json(self.path / SAID, {"captions": list(said)})

    def said(self) -> list[dict[str, Any]]:
        """What `save_said` kept; nothing where there is none."""
        return (read_json(self.path / SAID) or {}).get("captions", [])

    def save_captioner(self, description: Mapping[str, Any]) -> None:
        """Keeps all that is to be known, beside the weights, to caption pictures."""
        write_json(self.path / CAPTIONER, dict(description))

    def drop_checkpoint(self) -> None:
        """Makes the next attempt start anew."""
        (self.path / CHECKPOINT).unlink(missing_ok=True)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Writes the result, after which the trial is done for ever and its checkpoint is of no use."""
        write_json(self.path / RESULT, dict(result))
        self.drop_checkpoint()
        (self.path / FAILURE).unlink(missing_ok=True)

    def fail(self, reason: str, details: str = "") -> None:
        """Notes why the trial failed, unless the disk is too full for that; its checkpoint, if any, stays."""
        with suppress(OSError):
            write_json(self.path / FAILURE, {"reason": reason, "details": details})

    @property
    def place(self) -> str:
        """Where it is kept."""
        return str(self.path)

    @property
    def stuck(self) -> Path:
        """Where it is noted at what an attempt stood that took too long."""
        return self.path / STUCK

    def config(self) -> dict[str, Any] | None:
        """What `begin` noted."""
        return read_json(self.path / CONFIG)

    def result(self) -> dict[str, Any] | None:
        """The result; None where there is none, or not a whole one."""
        return read_json(self.path / RESULT)

    def failure(self) -> dict[str, Any] | None:
        """Reason and details of the last attempt's failure, if it failed."""
        return read_json(self.path / FAILURE)

    def pictures(self) -> dict[str, Path]:
        """Pictures by name."""
        return {path.stem: path for path in sorted((self.path / PICTURES).glob("*.png"))}

    def is_held(self) -> bool:
        """Whether a process is at work on the trial now."""
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
        """done, running (a process holds it), failed, or missing (never begun, or stopped half-way)."""
        if not self.path.is_dir():
            return "missing"
        if self.result() is not None:
            return "done"
        if self.is_held():
            return "running"
        return "missing" if self.failure() is None else "failed"


@dataclass(frozen=True)
class TrialStore:
    """All trials ever run, in one folder, which all machines see that run any."""

    root: Path

    def folder(self, identity: str) -> TrialFolder:
        """The folder of that trial, which need not exist."""
        return TrialFolder(self.root / identity)

    def identities(self, start: str) -> list[str]:
        """All trials ever begun whose identity starts so."""
        return sorted(path.parent.name for path in self.root.glob(f"{start}*/{CONFIG}"))

    def captioners(self, start: str) -> list[str]:
        """Identities that start so of the trials in this folder that kept a captioner."""
        return sorted(path.parent.name for path in self.root.glob(f"{start}*/{CAPTIONER}"))

    def fetch(self, identities: Iterable[str]) -> None:
        """Brings here what other machines have written about those trials: in a folder that all see, it is here."""

    def note(self, name: str, facts: Mapping[str, Any]) -> None:
        """Keeps facts about a sweep, under a name."""
        write_json(self.root / name, dict(facts))

    def noted(self, name: str) -> dict[str, Any] | None:
        """What was kept under the name; None where nothing was."""
        return read_json(self.root / name)

    def __str__(self) -> str:
        return str(self.root)

    @contextmanager
    def marked(self, name: str) -> Iterator[None]:
        """Leaves a mark of that name in the store while the block lasts."""
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / name).touch()
        try:
            yield
        finally:
            (self.root / name).unlink(missing_ok=True)

    def lacks(self, mark: str) -> str | None:
        """What is wrong with the store as this machine sees it, if the mark is in it; None where nothing is."""
        if not (self.root / mark).is_file():
            return f"{self.root} is not the trial store that the driver sees"
        return None if os.access(self.root, os.W_OK) else f"{self.root} cannot be written"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Holds the store for one sweep at a time. UserError where another sweep has it, or it is not writable."""
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
