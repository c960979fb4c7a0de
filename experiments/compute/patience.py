"""Notices that nothing runs on Ray any more, and nothing is going to."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import psutil
import ray
from ray import tune

from data.workers.local_ray import limits
from data.workers.ray_internals import dead_servers
from experiments.compute.resources import Resources
from experiments.compute.stalled import Abandoned, Stalled

IDLE_SECONDS = 60.0  # with nothing running and no worker process there
STARTING_SECONDS = 300.0  # with nothing running while worker processes start
NODES_SECONDS = 600.0  # with nothing running while a cluster has too few nodes
WORKER = "ray::"  # start of the name of a worker process; one that starts runs the file below
WORKER_FILE = "default_worker.py"


class Patience(tune.Callback):
    """Ends Tune's run with Stalled or Abandoned where none of its trials runs for longer than patience lasts.

    Args:
        resources: what each trial gets.
        own: whether Ray is this machine's own.
        note: prints a line.
    """

    def __init__(self, resources: Resources, own: bool, note: Callable[[str], None]) -> None:
        self.resources, self.own, self.note = resources, own, note
        self.ran = time.monotonic()  # when a trial ran last
        self.waits = False  # whether a line has said that nothing runs

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune saves its callbacks to restore a run from, which nobody does

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self.own and (dead := dead_servers()):
            raise Abandoned(f"Ray's {' and '.join(dead)} died{limits()}")
        if any(trial.status == "RUNNING" for trial in trials):
            self.ran, self.waits = time.monotonic(), False
            return
        idle = time.monotonic() - self.ran
        if idle >= IDLE_SECONDS:
            self._look(idle)

    def _look(self, idle: float) -> None:
        """Raises Stalled or Abandoned where waiting is over. `idle` is for how many seconds nothing has run."""
        if self.own:
            if idle >= STARTING_SECONDS or not _worker_processes():
                raise Abandoned(f"nothing has run for {idle:.0f} s: Ray starts no worker process{limits()}")
            return
        asked = {"CPU": self.resources.cpus, "GPU": self.resources.gpus}
        there, free = ray.cluster_resources(), ray.available_resources()
        if any(there.get(name, 0) < count for name, count in asked.items()):
            self._wait("the cluster has lost its nodes")
            if idle >= NODES_SECONDS:
                raise Stalled(f"nothing has run for {idle:.0f} s: the cluster has no node left that could run a trial")
        elif any(free.get(name, 0) < count for name, count in asked.items()):
            self._wait("others use the whole cluster")
        elif idle >= STARTING_SECONDS:
            raise Stalled(f"nothing has run for {idle:.0f} s: the cluster has room, and starts no worker process")

    def _wait(self, reason: str) -> None:
        if not self.waits:
            self.note(f"nothing runs now: {reason}; waiting for it")
            self.waits = True


def _worker_processes() -> bool:
    """Says whether a worker process of Ray descends from this one."""
    for process in psutil.Process().children(recursive=True):
        try:
            command = process.cmdline()
        except psutil.Error:  # it has just ended
            continue
        if any(part.endswith(WORKER_FILE) for part in command) or process.name().startswith(WORKER):
            return True
    return False
