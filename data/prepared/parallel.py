"""Makes shards in parallel with Ray: on the cores of this machine, or on the cluster that RAY_ADDRESS names.

Shards are tasks, not calls of the actors of a `ray.util.ActorPool`: a task starts wherever a core is free, while an
actor keeps its core to the end, and on a busy cluster the shard of an actor that finds no core would wait for one.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data.errors import RunFailed, UserError
from data.formats.contract import Shard
from data.prepared import shards
from data.workers.local_ray import limits, local_ray
from data.workers.ray_connection import first_line, join
from data.workers.ray_internals import dead_servers

AHEAD = 2  # tasks submitted per core, so that no core waits for its next task
POLL_SECONDS = 1.0


@contextmanager
def _ray() -> Iterator[Any]:
    """Yields the module `ray`, connected to the cluster that RAY_ADDRESS names, or to a Ray of this process alone."""
    address = os.environ.get("RAY_ADDRESS", "")
    if address and not address.startswith("http"):  # an http address is for sending jobs
        with _cluster(address) as ray:
            yield ray
    else:
        with local_ray():
            import ray

            yield ray


@contextmanager
def _cluster(address: str) -> Iterator[Any]:
    import ray

    try:
        join(address, ["data"])
    except ConnectionError as error:
        raise UserError(
            f"no Ray cluster at RAY_ADDRESS={address} ({error}): start it, or unset RAY_ADDRESS to work on this "
            "machine alone"
        ) from error
    try:
        yield ray
    finally:
        ray.shutdown()


def _made(shard: Shard, number: int, shape: tuple[int, int, int], folder: Path) -> shards.Records | UserError:
    """Makes one shard in a worker. Returns a UserError instead of raising it: Ray would wrap it in its own error."""
    if not folder.is_dir():
        return UserError(f"{socket.gethostname()} does not see {folder}: on a cluster --root must be on shared storage")
    try:
        return shards.make(shard, number, shape, folder)
    except UserError as error:
        return error


def make(
    tasks: Sequence[tuple[Shard, int]], shape: tuple[int, int, int], folder: Path
) -> Iterator[tuple[Shard, shards.Records]]:
    """Makes numbered shards, one core each, and yields each with its records as it gets ready.

    After the first shard that fails no other is started. Raises UserError as `shards.make` does, and where workers
    die.
    """
    with _ray() as ray:
        worker = ray.remote(num_cpus=1, max_retries=1)(_made)
        left = list(reversed(tasks))
        running: dict[Any, Shard] = {}  # by Ray's reference to the result
        room = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        while left or running:
            while left and len(running) < room:
                shard, number = left.pop()
                running[worker.remote(shard, number, shape, folder.absolute())] = shard
            ready = _first_ready(ray, list(running), folder)
            try:
                made = ray.get(ready)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error  # the project's own error, not Ray's
            except ray.exceptions.RayError as error:
                reason = f"a worker that made a shard in {folder} died twice: {first_line(error)}"
                raise UserError(f"{reason}. What is made is kept: run the same command again") from error
            if isinstance(made, UserError):
                raise made
            yield running.pop(ready), made


def _first_ready(ray: Any, running: list[Any], folder: Path) -> Any:
    """Returns a task that has ended, as soon as one has. RunFailed where this machine's own Ray dies before."""
    while True:
        ready, _ = ray.wait(running, timeout=POLL_SECONDS)
        if ready:
            return ready[0]
        if dead := dead_servers():
            raise RunFailed(
                f"Ray's {' and '.join(dead)} died while shards in {folder} were made{limits()}. What is made is kept: "
                "run the same command again"
            )
