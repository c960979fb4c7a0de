"""A process whose Ray has died is replaced by a new one of the same command.

What Ray keeps in a process does not outlive its servers: Ray's own threads end the whole process some time later, or
once Ray is shut down and anything asks for it. A sweep goes on from its store, so nothing is lost with the process.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

DEATHS = "EXPERIMENTS_RAY_DEATHS"  # environment variable: how often Ray has died under this command, and why last
RESTARTS = 1  # of Ray under one command


class RayDied(BaseException):
    """This machine's own Ray died: all that is open must be closed and the process replaced. No error to be caught."""


def deaths() -> tuple[int, str]:
    """Returns how often Ray has died under this command before, and the reason of the last time."""
    count, _, reason = os.environ.get(DEATHS, "0").partition(" ")
    return int(count), reason


@contextmanager
def replaced_where_ray_dies() -> Iterator[None]:
    """Starts this process's command again, in its place, where RayDied leaves the block.

    The process keeps its id, its standard streams and its working directory; all its threads end at once, and its
    locks with the files that hold them.
    """
    try:
        yield
    except RayDied as died:
        count, _ = deaths()
        os.environ[DEATHS] = f"{count + 1} {died}"
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])
