"""A trial over several devices: Ray Tune's view of it, which has Ray Train start its ranks.

Neither keeps anything: the first rank writes the trial's folder, as a worker does that runs a trial alone.
"""

from __future__ import annotations

import tempfile
import threading
from typing import Any

import torch
from ray import train, tune
from ray.train.torch import TorchConfig, TorchTrainer, get_device
from ray.util.queue import Empty, Queue

from data.errors import UserError
from experiments.learning.device import set_up
from experiments.learning.ranks import Ranks
from experiments.sweep.worker import ENDED, NOTE, ROWS
from experiments.trial_store.layout import Layout
from experiments.trials.run import epochs, follow
from experiments.trials.training import Row, TrialFailed
from experiments.trials.watchdog import within

# Kept by Tune for what waits for the ranks: a byte, which every node has, so that no CPU is kept from them.
WAITING = tune.PlacementGroupFactory([{"memory": 1}])
POLL_SECONDS = 1.0
REFUSALS = (TrialFailed, UserError)


class Spreader(tune.Trainable):
    """Has the ranks of trial after trial started, and passes on what the first of them tells. Its config has what
    `worker.task` makes of one trial under the key `task`.

    A trial that fails ends like any other; where a rank's process dies, which is Tune's business, it raises what Ray
    Train does.
    """

    def setup(self, config: dict[str, Any]) -> None:
        # Not Ray Train's reports by way of Tune's session: the last of them can be lost when the trainer ends.
        self.rows = Queue(actor_options={"num_cpus": 0})
        self._begin(config["task"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config["task"])
        return True

    def _begin(self, task: dict[str, Any]) -> None:
        (self.trial,) = task["trials"]
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._train, args=(task,), daemon=True)
        self.thread.start()

    def _train(self, task: dict[str, Any]) -> None:
        each = {"CPU": task["threads"], **({"GPU": 1} if task["gpu"] else {})}
        try:
            with tempfile.TemporaryDirectory(prefix="train-") as storage:
                TorchTrainer(
                    _rank,
                    train_loop_config={**task, "rows": self.rows},
                    torch_config=TorchConfig(timeout_s=int(task["limit"])),
                    scaling_config=train.ScalingConfig(
                        num_workers=self.trial.devices, use_gpu=task["gpu"], resources_per_worker=each
                    ),
                    run_config=train.RunConfig(name=self.trial.identity, storage_path=storage),
                ).fit()
        except Exception as error:  # raised again in the thread that Tune listens to
            self.error = error

    def step(self) -> dict[str, Any]:
        while True:
            over = not self.thread.is_alive()  # before the look, so that nothing told in between is missed
            try:
                row = self.rows.get(timeout=None if over else POLL_SECONDS, block=not over)
                return {ROWS: {self.trial.identity: row}, ENDED: {}, NOTE: ""}
            except Empty:
                if over:
                    return {ROWS: {}, ENDED: {self.trial.identity: self._refusal()}, NOTE: "", "done": True}

    def _refusal(self) -> str | None:
        """Why the trial failed, None where it did not. Raises what else went wrong."""
        if self.error is None:
            return None
        if isinstance(self.error, train.WorkerGroupError):
            for failure in self.error.worker_failures.values():
                if isinstance(failure, REFUSALS):
                    return str(failure)
        raise self.error


def _rank(task: dict[str, Any]) -> None:
    """What runs on each device."""
    context = train.get_context()
    ranks = Ranks(context.get_world_rank(), context.get_world_size())
    device = set_up(task["threads"], task["gpu"])
    if task["gpu"]:
        device = get_device()
    layout = task["layout"].of_worker()
    (trial,) = task["trials"]
    layout.bring(trial.dataset)
    if ranks.index == 0:
        _lead(task, layout, device, ranks)
    elif ranks.told(None):
        for _ in follow(trial, task["system"], layout, device, ranks):
            pass


def _lead(task: dict[str, Any], layout: Layout, device: torch.device, ranks: Ranks) -> None:
    (trial,) = task["trials"]
    folder = layout.trial_store.folder(trial.identity)
    folder.path.mkdir(parents=True, exist_ok=True)
    if not ranks.told(folder.result() is None):
        return
    rows = epochs(trial, task["system"], layout, folder, device, ranks=ranks)
    row: Row | None = {}
    while row is not None:
        with within(task["limit"], folder.stuck):
            row = next(rows, None)
        if row is not None:
            task["rows"].put(row)
