"""Running one trial: from a learner's first weights to a result in the store. Knows neither Ray nor MLflow."""

from __future__ import annotations

import copy
import math
import time
import traceback
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from data.splits import Splits
from data.store import ImageStore
from experiments.evaluation import evaluate
from experiments.gpu_memory import let_go
from experiments.grid import Trial
from experiments.layout import Layout
from experiments.memory import keep_freed_memory
from experiments.provenance import revision, versions
from experiments.ranks import ALONE, Ranks
from experiments.reasons import of_error
from experiments.systems.contract import Learner, System, Task
from experiments.trials import PICTURES, TrialFolder

CHECKPOINT_SECONDS = 5.0  # between two checkpoints, at least
PICTURED = 10  # validation images that a system's pictures are made from
SELECTORS = {"accuracy": "validation_accuracy", "elbo": "validation_elbo"}
Row = dict[str, float]


class TrialFailed(Exception):
    """A trial came to nothing; the message is the reason, which is in its folder too."""


@lru_cache(maxsize=1)
def _opened(processed: Path, splits: Path, device: torch.device) -> tuple[ImageStore, Splits]:
    """Images, on the device where they fit, and splits: opened by path once per process, not once per trial."""
    return ImageStore.open(processed).near(device), Splits.open(splits)


def data_of(trial: Trial, layout: Layout, device: torch.device) -> tuple[ImageStore, Splits]:
    """The images and splits that a trial reads. DataError where they are not there."""
    return _opened(layout.processed(trial.dataset).absolute(), layout.splits(trial.dataset).absolute(), device)


def close_data(device: torch.device) -> None:
    """Lets go of the images that this process has opened, where they are on a device."""
    _opened.cache_clear()
    let_go(device)


def prepare(
    trial: Trial, system: System, layout: Layout, device: torch.device, ranks: Ranks = ALONE
) -> tuple[Task, Learner]:
    """The trial's task and a learner at epoch 0. Raises what opening the data or making the learner raises."""
    store, splits = data_of(trial, layout, device)
    task = Task(
        store=store,
        train=splits.train,
        labelled=splits.labelled(trial.seed, trial.proportion),
        validation=splits.validation,
        proportion=trial.proportion,
        xi=trial.xi,
        seed=trial.seed,
        axes={
            "dataset": trial.dataset,
            "system": trial.system,
            "proportion": trial.proportion,
            "repetition": trial.seed,
        },
        device=device,
        ranks=ranks,
    )
    return task, system.learner(task, system.Settings.model_validate(trial.settings))


def mean_scalars(steps: Iterator[Mapping[str, float | Tensor]], epoch: int) -> Row:
    """Runs an epoch's steps; each scalar's mean, weighted by the steps' images, and how many `images` there were.

    Scalars stay on their device until the end, so that no step waits for another. TrialFailed where a
    loss is not finite, naming the first step it was not.
    """
    values: dict[str, list[float | Tensor]] = {}
    for step in steps:
        for name, value in step.items():
            values.setdefault(name, []).append(value.detach() if isinstance(value, Tensor) else value)
    columns = {name: _column(column) for name, column in values.items()}
    for step, loss in enumerate(columns["loss"].tolist()):
        if not math.isfinite(loss):
            raise TrialFailed(f"the loss is not finite ({loss}) in epoch {epoch}, step {step}")
    images = columns.pop("images")
    total = images.sum().item()
    means = {name: (column @ images).item() / total for name, column in columns.items()}
    return {"images": total, **means}


def _column(values: list[float | Tensor]) -> Tensor:
    if all(isinstance(value, Tensor) for value in values):
        return torch.stack([value.reshape(()) for value in values]).double().cpu()
    return torch.tensor([float(value) for value in values], dtype=torch.float64)


def _means(task: Task, learner: Learner, epoch: int) -> Row:
    """Takes an epoch's steps, together with the task's other ranks; the means of all of theirs."""
    task.ranks.agree(learner.model)
    return task.ranks.mean(mean_scalars(learner.epoch(epoch), epoch))


class Training:
    """A learner on its way through its epochs, with all that a checkpoint has to hold."""

    def __init__(self, task: Task, learner: Learner, folder: TrialFolder) -> None:
        self.task, self.learner, self.folder = task, learner, folder
        self.rows: list[Row] = []
        self.best: dict[str, Tensor] = {}
        self.best_epoch, self.best_score = -1, -math.inf
        self.saved_at, self.saved_rows = time.monotonic(), 0
        self.seconds_before = 0.0  # of earlier attempts, up to the checkpoint
        self.started = time.monotonic()
        self.waited = 0.0  # of the time since then, what went to other trials of a stack

    @property
    def seconds(self) -> float:
        """All the time that the trial has taken so far."""
        return self.seconds_before + time.monotonic() - self.started - self.waited

    def resume(self) -> None:
        """Goes on from the folder's checkpoint, where it has a whole one of this trial."""
        saved = self.folder.checkpoint()
        if saved is not None:
            try:
                self.learner.restore(saved["learner"])
            except Exception:  # written by other code: the next attempt had better start anew
                self.folder.drop_checkpoint()
                raise
            self.rows, self.best = saved["rows"], saved["best"]
            self.best_epoch, self.best_score = saved["best_epoch"], saved["best_score"]
            self.seconds_before = saved["seconds"]
        self.saved_rows = len(self.rows)
        self.folder.set_rows(self.rows)

    def save(self, at_once: bool = False) -> None:
        """Writes a checkpoint, unless the last one is younger than CHECKPOINT_SECONDS."""
        young = time.monotonic() - self.saved_at < CHECKPOINT_SECONDS
        if len(self.rows) == self.saved_rows or (young and not at_once):
            return
        self.folder.save_checkpoint(
            {
                "learner": self.learner.state(),
                "rows": self.rows,
                "best": self.best,
                "best_epoch": self.best_epoch,
                "best_score": self.best_score,
                "seconds": self.seconds,
            }
        )
        self.saved_at, self.saved_rows = time.monotonic(), len(self.rows)

    @property
    def over(self) -> bool:
        """Whether all epochs are through, or the last `patience` of them brought nothing better."""
        patience, epochs = self.learner.patience, len(self.rows)
        return epochs >= self.learner.epochs or (patience is not None and epochs - 1 - self.best_epoch >= patience)

    def epoch(self) -> Row:
        """Trains and validates one epoch; keeps its weights where they are the best so far."""
        number, started = len(self.rows), time.perf_counter()
        means = _means(self.task, self.learner, number)
        return self.trained(means, time.perf_counter() - started)

    def trained(self, means: Row, seconds: float) -> Row:
        """Validates the epoch that the learner has just been trained for, in so many seconds; `means` are those of
        its steps."""
        number, images = len(self.rows), means.pop("images")
        validation = evaluate(self.learner, self.task.store, self.task.validation, self.task.device)
        validation["accuracy"] = validation.pop("top1")
        for name in ("top5", "ece", "ms_per_image", "averaging"):
            del validation[name]
        row: Row = {
            "epoch": number,
            **means,
            **{f"validation_{name}": value for name, value in validation.items()},
            "seconds": seconds,
            "images_per_second": images / seconds,
            "time": time.time(),
        }
        self._keep_best(row)
        self.rows.append(row)
        self.folder.add_row(row)
        return row

    def _keep_best(self, row: Row) -> None:
        name = SELECTORS[self.learner.selects_by]
        score = row[name]
        if not math.isfinite(score):
            raise TrialFailed(f"{name} is not finite ({score}) in epoch {row['epoch']}")
        if score > self.best_score:
            self.best_epoch, self.best_score = row["epoch"], score
            self.best = copy.deepcopy(self.learner.model.state_dict())

    def validated(self) -> dict[str, Any]:
        """What the kept epoch is worth on the validation part; the test part is not read."""
        return {
            "validation_accuracy": self.rows[self.best_epoch]["validation_accuracy"],
            "best_epoch": self.best_epoch,
            "epochs": len(self.rows),
            "seconds": self.seconds,
        }

    def result(self, test: np.ndarray) -> dict[str, Any]:
        """Puts the best weights back and reads the test part, this once."""
        self.learner.model.load_state_dict(self.best)
        self.learner.finish()
        found = evaluate(self.learner, self.task.store, test, self.task.device, self.learner.averages)
        train_seconds = sum(row["seconds"] for row in self.rows)
        images = sum(row["seconds"] * row["images_per_second"] for row in self.rows)
        self._draw()
        return {
            "top1": found["top1"],
            "top5": found["top5"],
            "ece": found["ece"],
            "elbo": found.get("elbo"),
            "kl_switches": found.get("kl_switches"),
            "epochs": len(self.rows),
            "best_epoch": self.best_epoch,
            "validation_score": self.best_score,
            "selected_by": self.learner.selects_by,
            "xi_value": self.learner.xi_value,
            "parameters": sum(parameter.numel() for parameter in self.learner.model.parameters()),
            "train_seconds": train_seconds,
            "images_per_second": images / train_seconds,
            "test_ms_per_image": found["ms_per_image"],
            "averaging": found["averaging"],
            "device": device_name(self.task.device),
            "devices": self.task.ranks.count,
            "seconds": self.seconds,
        }

    def _draw(self) -> None:
        """Saves the system's pictures of a handful of validation images, the same for every trial of a dataset."""
        store, validation = self.task.store, self.task.validation
        by_class = validation[np.argsort(store.labels[validation], kind="stable")]
        chosen = by_class[np.linspace(0, len(by_class) - 1, min(PICTURED, len(by_class))).round().astype(int)]
        for name, picture in self.learner.pictures(store.batch(chosen, self.task.device)).items():
            values = (picture.detach().cpu().clamp(0, 1) * 255).round().to(torch.uint8).numpy()
            path = self.folder.path / PICTURES / f"{name}.png"
            path.parent.mkdir(exist_ok=True)
            Image.fromarray(values.squeeze(-1) if values.shape[-1] == 1 else values).save(path)


def device_name(device: torch.device) -> str:
    """ "cpu", or the GPU's model."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type


def set_up(threads: int, gpu: bool) -> torch.device:
    """The device that this process runs trials on, after it was told to give the same digits every time."""
    keep_freed_memory()
    torch.set_num_threads(threads)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True
    return torch.device("cuda" if gpu else "cpu")


def epochs(
    trial: Trial,
    system: System,
    layout: Layout,
    folder: TrialFolder,
    device: torch.device,
    validation_only: bool = False,
    ranks: Ranks = ALONE,
) -> Generator[Row]:
    """Runs the trial, from its checkpoint where it has one, giving each epoch's row; its result is in the
    folder when the iterator ends. Closed early, it leaves a checkpoint of its last whole epoch.

    A row has `epoch`, `loss` and whatever else the learner's steps tell (means weighted by images),
    `validation_accuracy` (percent), `validation_elbo` and the bound's other terms where there is one, `seconds` of
    training, `images_per_second` and `time` (Unix). With `validation_only` the test part is never read, and
    the result is that of `Training.validated`. The first of several `ranks` runs this, the others `follow` it.
    Raises TrialFailed, with its reason in the folder, whatever went wrong.
    """
    with folder.alone(), failures_noted(folder):
        if folder.result() is None:
            yield from _run(trial, system, layout, folder, device, validation_only, ranks)


@contextmanager
def failures_noted(folder: TrialFolder) -> Iterator[None]:
    """Whatever goes wrong within it is a TrialFailed, its reason in the folder."""
    try:
        yield
    except Exception as error:
        reason = str(error) if isinstance(error, TrialFailed) else of_error(error, folder.path)
        folder.fail(reason, traceback.format_exc())
        raise TrialFailed(reason) from error


def follow(trial: Trial, system: System, layout: Layout, device: torch.device, ranks: Ranks) -> Generator[None]:
    """Trains along with the first rank, which runs `epochs` on the same trial; an epoch each time, until it is over.

    Raises what making the learner or its steps raise.
    """
    task, learner = prepare(trial, system, layout, device, ranks)
    done, state = ranks.told(None)
    learner.restore(state)
    while ranks.told(None):
        _means(task, learner, done)
        done += 1
        yield


def begun(
    trial: Trial, system: System, layout: Layout, folder: TrialFolder, device: torch.device, ranks: Ranks = ALONE
) -> Training:
    """The trial at its start, or at its checkpoint where it has one."""
    folder.begin({**trial.mapping, "identity": trial.identity, "labelled": trial.labelled})
    let_go(device)  # of what the trials before it have left, one that was short of memory above all
    task, learner = prepare(trial, system, layout, device, ranks)
    training = Training(task, learner, folder)
    training.resume()
    if ranks.count > 1:
        ranks.told((len(training.rows), learner.state()))
    return training


def _run(
    trial: Trial,
    system: System,
    layout: Layout,
    folder: TrialFolder,
    device: torch.device,
    validation_only: bool,
    ranks: Ranks,
) -> Generator[Row]:
    training = begun(trial, system, layout, folder, device, ranks)
    while ranks.told(not training.over):
        row = training.epoch()
        try:
            yield row
        except GeneratorExit:
            training.save(at_once=True)
            raise
        training.save()
    if validation_only:
        _finish(trial, training, training.validated())
    else:
        conclude(trial, training, layout)


def conclude(trial: Trial, training: Training, layout: Layout, facts: Mapping[str, Any] = MappingProxyType({})) -> None:
    """Tests a trial whose epochs are over and writes its result, with those facts in it."""
    result = training.result(data_of(trial, layout, training.task.device)[1].test)
    training.folder.save_weights(training.learner.model.state_dict())
    _finish(trial, training, {**result, **facts})


def _finish(trial: Trial, training: Training, result: Mapping[str, Any]) -> None:
    training.folder.finish(
        {
            "identity": trial.identity,
            "trial": trial.mapping,
            "labelled": trial.labelled,
            **result,
            **revision(),
            "versions": versions(),
            "finished_at": time.time(),
        }
    )


def run(
    trial: Trial,
    system: System,
    layout: Layout,
    folder: TrialFolder,
    device: torch.device,
    report: Callable[[Row], None],
) -> dict[str, Any]:
    """Runs the trial to its end in this process, calling `report` after each epoch; returns its result."""
    for row in epochs(trial, system, layout, folder, device):
        report(row)
    result = folder.result()
    assert result is not None
    return result
