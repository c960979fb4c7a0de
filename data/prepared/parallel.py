"""Making shards in parallel with Ray: on the cores of this machine, or on the cluster that RAY_ADDRESS names."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data.cluster import first_line, join, start
from data.errors import UserError
from data.formats.contract import Shard
from data.prepared import shards

AHEAD = 2  # tasks at hand per core, so that none waits for its next one


@contextmanager
def _ray() -> Iterator[Any]:
    """A Ray: the cluster's, where RAY_ADDRESS names one, or else one of this process's own."""
    address = os.environ.get("RAY_ADDRESS", "")
    if address and not address.startswith("http"):  # that is where jobs are sent
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
    """What a worker does. An error is given, not raised: Ray would wrap it in its own."""
    if not folder.is_dir():
        return UserError(f"{socket.gethostname()} does not see {folder}: on a cluster --root must be on shared storage")
    try:
        return shards.make(shard, number, shape, folder)
    except UserError as error:
        return error


def make(
    tasks: Sequence[tuple[Shard, int]], shape: tuple[int, int, int], folder: Path
) -> Iterator[tuple[Shard, shards.Records]]:
    """Makes numbered shards, one core each, giving them as they get ready. Raises UserError as `shards.make` does."""
    with _ray() as ray:
        worker = ray.remote(num_cpus=1, max_retries=1)(_made)
        left, running = list(reversed(tasks)), {}
        room = AHEAD * max(1, int(ray.cluster_resources().get("CPU", 1)))
        while left or running:
            while left and len(running) < room:
                shard, number = left.pop()
                running[worker.remote(shard, number, shape, folder.absolute())] = shard
            (ready,), _ = ray.wait(list(running))
            try:
                made = ray.get(ready)
            except ray.exceptions.RayTaskError as error:
                raise error.cause from error  # ours, not Ray's
            except ray.exceptions.RayError as error:
                reason = f"a worker that made a shard in {folder} died twice: {first_line(error)}"
                raise UserError(f"{reason}. What is made is kept: run the same command again") from error
            if isinstance(made, UserError):
                raise made
            yield running.pop(ready), made
