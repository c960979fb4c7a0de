"""Why a trial failed, in words for whoever has to mend it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # what the system says where a file cannot grow
SHORT = ("can't allocate memory", "out of memory", "low on memory")  # PyTorch on CPUs, on GPUs, and Ray
LOST = ("node has died", "node was terminated", "node is dead", "is unavailable")  # as Ray says of an actor
LESS_MEMORY = "let fewer trials run at once (compute.workers), or make batches smaller"


def of_error(error: Exception, folder: Path) -> str:
    """What an error says that ended the trial of that folder, and the remedy where memory or disk did not suffice."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in FULL:
            return (
                f"the trial store cannot be written ({cause.strerror}): make room for {cause.filename or folder}, "
                "and run it again"
            )
        if isinstance(cause, MemoryError) or any(told in str(cause).lower() for told in SHORT):
            return f"out of memory ({type(cause).__name__}: {cause}): {LESS_MEMORY}"
    return f"{type(error).__name__}: {error}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and those that it came from; a writer that cannot end its file hides why it could not go on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def of_death(details: str) -> str:
    """Why a worker process died for good, from Tune's notes on a trial's failures."""
    _, *lines = details.rsplit("Failure # ", 1)[-1].strip().splitlines()
    told = lines[0] if lines else "no message"
    last = "\n".join(lines).lower()
    if "low on memory" in last:
        return f"Ray ended its worker process again, since memory was short: {LESS_MEMORY}. {told}"
    if "worker process has died" in last:
        return f"its worker process died again: it crashed, or was killed, perhaps for want of memory: {LESS_MEMORY}"
    return f"its worker process died again: {told}"


def node_lost(details: str) -> bool:
    """Whether a worker process died with its node, or with the connection to it, from Tune's notes on a trial's
    failures."""
    last = details.rsplit("Failure # ", 1)[-1].lower()
    return "worker process has died" not in last and any(told in last for told in LOST)
