"""Takes a learner through its epochs: steps, validation, checkpoints, and the test at the end."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from experiments.learning.contract import CAPTIONS, LABELS, Learner, Task
from experiments.learning.device import device_name
from experiments.trial_store import schema
from experiments.trial_store.contents import PICTURES
from experiments.trial_store.folders import TrialFolder
from experiments.trials.caption_evaluation import CaptionJudge
from experiments.trials.judge import Judge
from experiments.trials.label_evaluation import LabelJudge
from experiments.trials.training_flops import operations

CHECKPOINT_SECONDS = 5.0  # between two checkpoints, at least
TOGETHER = 256  # steps whose scalars are fetched from a device at once
PICTURED = 10  # validation images that a system's pictures are made from
JUDGES: Mapping[str, Judge] = {LABELS: LabelJudge(), CAPTIONS: CaptionJudge()}  # by what a system learns
Row = dict[str, float]  # an epoch's scalars by name, as `metrics.jsonl` keeps them


class TrialFailed(Exception):
    """A trial failed; the message is the reason, which its folder holds too."""


def mean_scalars(steps: Iterator[Mapping[str, float | Tensor]], epoch: int) -> Row:
    """Runs an epoch's steps and returns each scalar's mean, weighted by the steps' images, and the sum of `images`.

    Scalars stay on their device for many steps, so that hardly any step waits for another; a tensor for each of them
    until the end would take a kilobyte each. TrialFailed where a loss is not finite; the message names the first such
    step.
    """
    parts: dict[str, list[Tensor]] = {}
    for some in _batched(steps):
        for name in some[0]:
            parts.setdefault(name, []).append(_column([scalars[name] for scalars in some]))
    columns = {name: torch.cat(column) for name, column in parts.items()}
    for step, loss in enumerate(columns["loss"].tolist()):
        if not math.isfinite(loss):
            raise TrialFailed(f"the loss is not finite ({loss}) in epoch {epoch}, step {step}")
    images = columns.pop("images")
    total = images.sum().item()
    means = {name: (column @ images).item() / total for name, column in columns.items()}
    return {"images": total, **means}


def _batched(steps: Iterator[Mapping[str, float | Tensor]]) -> Iterator[list[dict[str, float | Tensor]]]:
    """Yields the scalars of `TOGETHER` steps at a time, without gradients, which would keep all that made them."""
    detached = (
        {name: value.detach() if isinstance(value, Tensor) else value for name, value in scalars.items()}
        for scalars in steps
    )
    while some := list(islice(detached, TOGETHER)):
        yield some


def _column(values: list[float | Tensor]) -> Tensor:
    tensors = [value for value in values if isinstance(value, Tensor)]
    if len(tensors) == len(values):
        return torch.stack([value.reshape(()) for value in tensors]).double().cpu()
    return torch.tensor([float(value) for value in values], dtype=torch.float64)


def judge_of(task: Task) -> Judge:
    """Returns what evaluates learners of the task."""
    return JUDGES[LABELS if task.captions is None else CAPTIONS]


def epoch_means(task: Task, learner: Learner, epoch: int) -> Row:
    """Takes an epoch's steps, together with the task's other ranks, and returns the means over all of them."""
    task.ranks.broadcast_buffers(learner.model)
    return task.ranks.mean(mean_scalars(learner.epoch(epoch), epoch))


class Training:
    """A learner, the epochs that it has been through, and everything else that a checkpoint has to hold."""

    def __init__(self, task: Task, learner: Learner, folder: TrialFolder) -> None:
        self.task, self.learner, self.folder = task, learner, folder
        self.judge = judge_of(task)
        self.rows: list[Row] = []
        self.saved_at, self.saved_rows = time.monotonic(), 0
        self.seconds_before = 0.0  # that earlier attempts took, up to the checkpoint
        self.started = time.monotonic()
        self.waited = 0.0  # seconds since then that went to other trials of a stack

    @property
    def seconds(self) -> float:
        """Seconds that the trial has taken so far, in all attempts."""
        return self.seconds_before + time.monotonic() - self.started - self.waited

    def resume(self) -> None:
        """Restores the folder's checkpoint, where it has a readable one. Raises what the learner's `restore` raises."""
        saved = self.folder.checkpoint()
        if saved is not None and not self._checkpoint_holds(saved):
            saved = None  # it is another trial's, or damaged: as where there is none, the trial starts anew
        if saved is not None:
            try:
                self.learner.restore(saved["learner"])
            except Exception:  # written by other code: the next attempt starts anew
                self.folder.drop_checkpoint()
                raise
            self.rows, self.seconds_before = saved["rows"], saved["seconds"]
        self.saved_rows = len(self.rows)
        self.folder.set_rows(self.rows)

    def _checkpoint_holds(self, saved: Any) -> bool:
        """Returns whether what a checkpoint holds can be gone on from: it is this trial's, and its parts agree."""
        if schema.fault_of(saved, schema.Checkpoint, finite=False):
            return False
        own = saved.get("identity", self.folder.path.name) == self.folder.path.name
        in_order = [row["epoch"] for row in saved["rows"]] == list(range(len(saved["rows"])))
        return own and in_order

    def save(self, at_once: bool = False) -> None:
        """Writes a checkpoint, unless the last one is younger than CHECKPOINT_SECONDS and `at_once` is False."""
        young = time.monotonic() - self.saved_at < CHECKPOINT_SECONDS
        if len(self.rows) == self.saved_rows or (young and not at_once):
            return
        self.folder.save_checkpoint(
            {
                "identity": self.folder.path.name,
                "learner": self.learner.state(),
                "rows": self.rows,
                "seconds": self.seconds,
            }
        )
        self.saved_at, self.saved_rows = time.monotonic(), len(self.rows)

    @property
    def over(self) -> bool:
        """Whether all epochs are done."""
        return len(self.rows) >= self.learner.epochs

    def epoch(self) -> Row:
        """Trains and validates one epoch and returns its row."""
        number, started = len(self.rows), time.perf_counter()
        means = epoch_means(self.task, self.learner, number)
        return self.trained(means, time.perf_counter() - started)

    def trained(self, means: Row, seconds: float) -> Row:
        """Validates the epoch that the learner has just been trained for and returns its row.

        Args:
            means: the means of the epoch's steps, as `mean_scalars` returns them.
            seconds: how long the steps took.
        """
        number, images = len(self.rows), means.pop("images")
        validation = self.judge.validated(self.learner, self.task)
        row: Row = {
            "epoch": number,
            **means,
            **{f"validation_{name}": value for name, value in validation.items()},
            "seconds": seconds,
            "images_per_second": images / seconds,
            "threads": torch.get_num_threads(),
            "gpu": int(self.task.device.type == "cuda"),
            "time": time.time(),
        }
        for name, value in row.items():
            if not math.isfinite(value):
                raise TrialFailed(f"{name} is not finite ({value}) in epoch {number}")
        self.rows.append(row)
        self.folder.add_row(row)
        return row

    def validated(self) -> dict[str, Any]:
        """Returns the search's measure after the last epoch; the test part is not read."""
        measure = self.judge.score_name
        return {
            measure: self.rows[-1][measure],
            "epochs": len(self.rows),
            "seconds": self.seconds,
            **self._computed_on(),
        }

    def result(self, test: np.ndarray) -> dict[str, Any]:
        """Reads the test part (the only time) with the weights of the last epoch, and returns the trial's result."""
        self.learner.finish()
        scores = self.judge.tested(self.learner, self.task, test)
        if captions := scores.pop("said", None):
            self.folder.save_captions(captions)
        if predictions := scores.pop("predicted", None):
            self.folder.save_predictions(predictions)
        train_seconds = sum(row["seconds"] for row in self.rows)
        self._draw()
        return {
            **scores,
            "epochs": len(self.rows),
            "updates": self.learner.epochs * self.learner.steps_per_epoch,
            "images_drawn": self.learner.epochs * self.learner.steps_per_epoch * self.learner.images_per_step,
            "xi_value": self.learner.xi_value,
            "parameters": sum(each.numel() for each in self.learner.model.parameters() if each.requires_grad),
            "train_seconds": train_seconds,
            "images_per_second": self._images / train_seconds,
            **self._computed_on(),
            "devices": self.task.ranks.count,
            "seconds": self.seconds,
        }

    def operations(self) -> float | None:
        """Returns the floating-point operations of the training; called last, as it takes one more step.

        None where several ranks have trained: none of them can take a step alone.
        """
        return operations(self.learner, self._images) if self.task.ranks.count == 1 else None

    @property
    def _images(self) -> int:
        """The images of all steps; a row has them as a rate, whose digits depend on the time that it took."""
        return sum(round(row["seconds"] * row["images_per_second"]) for row in self.rows)

    def _computed_on(self) -> dict[str, Any]:
        """Returns the `device` that trained, and its CPU `threads`, of which there are several after a change.

        Digits depend on both: sums are added up in another order.
        """
        device = device_name(self.task.device)
        used = [(bool(row["gpu"]), int(row["threads"])) for row in self.rows if "threads" in row]
        on_gpu = self.task.device.type == "cuda"
        if any(gpu != on_gpu for gpu, _ in used):
            device = f"{'cpu' if on_gpu else 'GPU'}, then {device}"
        return {"device": device, "threads": list(dict.fromkeys(threads for _, threads in used))}

    def _draw(self) -> None:
        """Saves the learner's pictures of a few validation images, which are the same for every trial of a dataset."""
        store, validation = self.task.store, self.task.validation
        by_class = validation[np.argsort(store.labels[validation], kind="stable")]
        chosen = by_class[np.linspace(0, len(by_class) - 1, min(PICTURED, len(by_class))).round().astype(int)]
        for name, picture in self.learner.pictures(store.batch(chosen, self.task.device)).items():
            values = (picture.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
            path = self.folder.path / PICTURES / f"{name}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(values.squeeze(-1) if values.shape[-1] == 1 else values).save(path)
