"""A trial on several devices: Ray Tune's view of it, which has Ray Train start one process per device.

The processes are the trial's ranks. The first rank writes the trial's folder, as a worker does that runs a trial
alone; neither Tune nor Train keeps anything.
"""

from __future__ import annotations

import os
import socket
import tempfile
import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import ray
import torch
from ray import train, tune
from ray.train.torch import TorchConfig, TorchTrainer, get_device
from ray.train.torch.config import _TorchBackend
from ray.util.queue import Empty, Queue

from data.errors import UserError
from data.workers.local_ray import is_loopback
from experiments.learning.device import set_up
from experiments.learning.ranks import Ranks
from experiments.sweep.worker import ASSIGNMENT, ENDED, NOTE, ROWS, Assignment
from experiments.trial_store.layout import Layout
from experiments.trials.grid import Trial
from experiments.trials.run import epochs, follow
from experiments.trials.training import Row, TrialFailed
from experiments.trials.watchdog import within

# What Tune reserves for the process that waits for the ranks: a byte, which every node has, and none of their CPUs.
WAITING = tune.PlacementGroupFactory([{"memory": 1}])
POLL_SECONDS = 1.0
REFUSALS = (TrialFailed, UserError)


class MultiDeviceWorker(tune.Trainable):
    """Starts the ranks of trial after trial, and reports the rows of the first rank. Its assignments hold one trial.

    A trial that fails ends like any other. Where a rank's process dies, this raises what Ray Train raises, and Tune
    deals with it.
    """

    def setup(self, config: dict[str, Any]) -> None:
        # Not Ray Train's reports through Tune's session: the last of them can be lost when the trainer ends.
        self.rows = Queue(actor_options={"num_cpus": 0})
        self._begin(config[ASSIGNMENT])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config[ASSIGNMENT])
        return True

    def _begin(self, assignment: Assignment) -> None:
        (self.trial,) = assignment.trials
        self.error: Exception | None = None
        self.thread = threading.Thread(target=self._train, args=(assignment,), daemon=True)
        self.thread.start()

    def _train(self, assignment: Assignment) -> None:
        each = {"CPU": assignment.threads, **({"GPU": 1} if assignment.gpu else {})}
        try:
            with tempfile.TemporaryDirectory(prefix="train-") as storage:
                TorchTrainer(
                    _rank,
                    train_loop_config={ASSIGNMENT: assignment, ROWS: self.rows},
                    torch_config=_meeting(int(assignment.limit), storage),
                    scaling_config=train.ScalingConfig(
                        num_workers=self.trial.devices, use_gpu=assignment.gpu, resources_per_worker=each
                    ),
                    run_config=train.RunConfig(name=self.trial.identity, storage_path=storage),
                ).fit()
        except Exception as error:  # raised again in the thread that Tune listens to
            self.error = error

    def step(self) -> dict[str, Any]:
        while True:
            over = not self.thread.is_alive()  # asked first, so that no row is missed that comes in between
            try:
                row = self.rows.get(timeout=None if over else POLL_SECONDS, block=not over)
                return {ROWS: {self.trial.identity: row}, ENDED: {}, NOTE: ""}
            except Empty:
                if over:
                    return {ROWS: {}, ENDED: {self.trial.identity: self._refusal()}, NOTE: "", "done": True}

    def _refusal(self) -> str | None:
        """Returns why the trial failed, or None where it did not. Raises any other error of the training."""
        if self.error is None:
            return None
        if isinstance(self.error, train.WorkerGroupError):
            for failure in self.error.worker_failures.values():
                if isinstance(failure, REFUSALS):
                    return str(failure)
        raise self.error


def _meeting(seconds: int, folder: str) -> TorchConfig:
    """Returns how the ranks find each other. On a Ray that is this machine's alone, nobody else can reach them.

    PyTorch's own way is a store that listens on every interface and asks for no token.
    """
    if is_loopback(ray.util.get_node_ip_address()):
        return OnThisMachine(timeout_s=seconds, meeting=f"{folder}/meeting")
    return TorchConfig(timeout_s=seconds)


@dataclass
class OnThisMachine(TorchConfig):
    """Lets the ranks meet in the file `meeting` and talk through the loopback interface."""

    meeting: str = ""

    @property
    def backend_cls(self) -> type[_TorchBackend]:
        return _LoopbackBackend


class _LoopbackBackend(_TorchBackend):
    def on_start(self, worker_group: Any, backend_config: Any) -> None:
        backend = "nccl" if worker_group.get_resources_per_worker().get("GPU", 0) else "gloo"
        count, seconds = len(worker_group), backend_config.timeout_s
        ray.get(
            [
                worker_group.execute_single_async(rank, _meet, backend, backend_config.meeting, rank, count, seconds)
                for rank in range(count)
            ]
        )


def _meet(backend: str, meeting: str, rank: int, count: int, seconds: int) -> None:
    interface = next(name for _, name in socket.if_nameindex() if name.startswith("lo"))
    os.environ.update({"GLOO_SOCKET_IFNAME": interface, "NCCL_SOCKET_IFNAME": interface})
    torch.distributed.init_process_group(
        backend, f"file://{meeting}", timedelta(seconds=seconds), world_size=count, rank=rank
    )


def _rank(config: dict[str, Any]) -> None:
    """Runs on each device; `config` holds the assignment and the queue that takes the rows."""
    assignment: Assignment = config[ASSIGNMENT]
    context = train.get_context()
    ranks = Ranks(context.get_world_rank(), context.get_world_size())
    device = set_up(assignment.threads, assignment.gpu)
    if assignment.gpu:
        device = get_device()
    layout = assignment.layout.of_worker()
    (trial,) = assignment.trials
    layout.bring(trial.dataset)
    if ranks.index == 0:
        _lead(trial, layout, device, ranks, assignment.limit, config[ROWS])
    elif ranks.broadcast(None):
        for _ in follow(trial, layout, device, ranks):
            pass


def _lead(trial: Trial, layout: Layout, device: torch.device, ranks: Ranks, limit: float, queue: Queue) -> None:
    """Runs the trial as the first rank, whose rows go into the queue. A trial that is done is not run again."""
    folder = layout.trial_store.folder(trial.identity)
    folder.path.mkdir(parents=True, exist_ok=True)
    if not ranks.broadcast(folder.result() is None):
        return
    rows = epochs(trial, layout, folder, device, ranks=ranks)
    row: Row | None = {}
    while row is not None:
        with within(limit, folder.stuck):
            row = next(rows, None)
        if row is not None:
            queue.put(row)
