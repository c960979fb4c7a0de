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

from data.errors import UserError
from data.formats.contract import Shard
from data.prepared import shards
from data.ray_connection import first_line, join, start

AHEAD = 2  # tasks submitted per core, so that no core waits for its next task


@contextmanager
def _ray() -> Iterator[Any]:
    """Yields the module `ray`, connected to the cluster that RAY_ADDRESS names, or to a Ray of this process alone."""
    address = os.environ.get("RAY_ADDRESS", "")
    if address and not address.startswith("http"):  # an http address is for sending jobs
        try:
            join(address, ["data"])
        except ConnectionError as error:
            raise UserError(
                f"no Ray cluster at RAY_ADDRESS={address} ({error}): start it, or unset RAY_ADDRESS to work on this "
                "machine alone"
            ) from error
    else:
        start()
    import ray

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
            (ready,), _ = ray.wait(list(running))
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
