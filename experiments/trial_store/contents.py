"""What the folder of one trial holds, as it is read: whole files that hold what they may hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from data.errors import UserError
from experiments.trial_store import schema
from experiments.trial_store.locks import is_locked
from experiments.trial_store.predictions import Predictions, StoredPredictions

CONFIG, METRICS, CHECKPOINT = "config.json", "metrics.jsonl", "checkpoint.pt"
WEIGHTS, RESULT, FAILURE, PICTURES, LOCK = "weights.pt", "result.json", "failure.json", "pictures", ".lock"
STUCK, CAPTIONS, CAPTIONER, PREDICTIONS = "stuck.txt", "captions.json", "captioner.json", "predictions.json"
PNG = b"\x89PNG\r\n\x1a\n"  # a picture begins so

Status = Literal["done", "running", "failed", "missing"]
STATUSES: tuple[Status, ...] = ("done", "running", "failed", "missing")


@dataclass(frozen=True)
class Contents:
    """The files of one trial, in a folder that is called by the trial's identity (the hash that names it).

    - `config.json`: what the trial is.
    - `metrics.jsonl`: a row for each epoch.
    - `checkpoint.pt`: the state from which training goes on.
    - `weights.pt`: the model that was tested.
    - `pictures/`: what the model drew.
    - `predictions.json`: its classes of test images.
    - `captions.json`: its captions of test images.
    - `captioner.json`: what `python -m vae` needs beside the weights to caption pictures.
    - `failure.json`: why the last attempt failed.
    - `stuck.txt`: where an attempt stood that took too long.
    - `result.json`: the result, written last.
    - `result.json.set-aside-N`: a result that did not hold.

    What is read is checked (`experiments.trial_store.schema`): a file that does not hold counts as absent.
    """

    path: Path

    def rows(self) -> list[dict[str, Any]]:
        """Returns the rows of all epochs in order, each epoch once; a row that does not hold is left out."""
        rows = {row["epoch"]: row for row, _ in self._read_rows() if row is not None}
        return [rows[epoch] for epoch in sorted(rows)]

    def _read_rows(self) -> Iterator[tuple[dict[str, Any] | None, str]]:
        """Yields each row as it was written; None and what is wrong with it where it does not hold."""
        try:
            lines = (self.path / METRICS).read_bytes().splitlines()
        except (FileNotFoundError, NotADirectoryError):
            return
        except OSError as error:
            yield None, f"cannot be read ({error.strerror or error})"
            return
        for number, line in enumerate(lines, 1):
            row, fault = schema.parse(line, schema.EpochRow)
            yield row, f"line {number}: {fault}"

    def checkpoint(self) -> dict[str, Any] | None:
        """Returns what `save_checkpoint` saved, with tensors on the CPU; None where no checkpoint can be read."""
        import torch

        try:
            return torch.load(self.path / CHECKPOINT, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            return None
        except Exception:  # whatever a damaged file makes the reader raise, the remedy is to start anew
            return None

    def predictions_fault(self) -> str:
        """Returns what is wrong with the predictions; "" where they hold, or where there are none."""
        _, fault = schema.read(self.path / PREDICTIONS, StoredPredictions)
        return fault and f"{self.place}/{PREDICTIONS}: {fault}"

    def predictions(self) -> Predictions | None:
        """Returns what `save_predictions` wrote; None where there is nothing that holds."""
        content, _ = schema.read(self.path / PREDICTIONS, StoredPredictions)
        return None if content is None else Predictions.unpacked(content)

    def captions_fault(self) -> str:
        """Returns which key and value of the captions is wrong; "" where they hold, or where there are none."""
        _, fault = schema.read(self.path / CAPTIONS, schema.Captions)
        return fault and f"{self.place}/{CAPTIONS}: {fault}"

    def captions(self) -> list[dict[str, Any]]:
        """Returns what `save_captions` wrote; an empty list where there is nothing that holds."""
        content, _ = schema.read(self.path / CAPTIONS, schema.Captions)
        return [] if content is None else content["captions"]

    def captioner(self) -> dict[str, Any]:
        """Returns what is needed beside the weights to caption pictures.

        Raises:
            UserError: it is missing, or does not hold.
        """
        content, fault = schema.read(self.path / CAPTIONER, schema.Captioner)
        if content is None:
            raise UserError(f"{self.path / CAPTIONER}: {fault or 'is missing'}: run that trial again")
        return content

    @property
    def place(self) -> str:
        """The folder's path or URI, for messages."""
        return str(self.path)

    @property
    def stuck(self) -> Path:
        """The file that says where an attempt stood that took too long."""
        return self.path / STUCK

    def config(self) -> dict[str, Any] | None:
        """Returns what `begin` wrote; None where nothing of this trial is there."""
        return self._config()[0]

    def _config(self) -> tuple[dict[str, Any] | None, str]:
        config, fault = schema.read(self.path / CONFIG, schema.Config)
        if config is not None and config.get("identity", self.path.name) != self.path.name:
            return None, f"identity = {config['identity']!r}: it belongs to that trial"
        return config, fault

    def result(self) -> dict[str, Any] | None:
        """Returns the result; None where there is none that holds, or it belongs to another trial."""
        return self._result()[0]

    def result_fault(self) -> str:
        """Returns which file, key and value of the result is wrong; "" where it holds, or where there is none."""
        _, fault = self._result()
        return fault and f"{self.place}/{RESULT}: {fault}"

    def _result(self) -> tuple[dict[str, Any] | None, str]:
        result, fault = schema.read(self.path / RESULT, schema.Result)
        if result is None:
            return None, fault
        if result.get("identity") not in (None, self.path.name):
            return None, f"identity = {result['identity']!r}: it is the result of that trial"
        differing = _differing(self.config() or {}, {**(result.get("trial") or {}), "labelled": result.get("labelled")})
        if differing is not None:
            return None, f"{differing} is not that of {CONFIG}: it is the result of another trial"
        return result, ""

    def failure(self) -> dict[str, Any] | None:
        """Returns reason and details of the last attempt's failure; None where it did not fail."""
        return schema.read(self.path / FAILURE, schema.Failure)[0]

    def faults(self) -> list[str]:
        """Returns which file, key and value is wrong, for each stored file that does not hold."""
        read = {
            CONFIG: self._config()[1],
            RESULT: self._result()[1],
            FAILURE: schema.read(self.path / FAILURE, schema.Failure)[1],
            PREDICTIONS: schema.read(self.path / PREDICTIONS, StoredPredictions)[1],
            CAPTIONS: schema.read(self.path / CAPTIONS, schema.Captions)[1],
            METRICS: next((fault for row, fault in self._read_rows() if row is None), ""),
        }
        return [f"{self.place}/{file}: {fault}" for file, fault in read.items() if fault]

    def pictures(self) -> dict[str, Path]:
        """Returns the paths of the pictures by name."""
        return {path.stem: path for path in sorted((self.path / PICTURES).glob("*.png")) if _is_png(path)}

    def is_held(self) -> bool:
        """Returns whether a process holds the trial now. Writes nothing."""
        return is_locked(self.path / LOCK)

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


def _differing(config: Mapping[str, Any], other: Mapping[str, Any]) -> str | None:
    """Returns the first key whose values differ, of those that both have; of the settings, that within them."""
    for key in config.keys() & other.keys():
        mine, theirs = config[key], other[key]
        if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
            if (inner := _differing(mine, theirs)) is not None:
                return f"{key}.{inner}"
        elif None not in (mine, theirs) and mine != theirs:
            return key
    return None


def _is_png(path: Path) -> bool:
    try:
        with path.open("rb") as stream:
            return stream.read(len(PNG)) == PNG
    except OSError:
        return False
