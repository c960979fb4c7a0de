"""Why a trial failed, in words for whoever has to repair it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path

FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}  # errors of a file that cannot grow
SHORT = ("can't allocate memory", "out of memory", "low on memory")  # PyTorch on CPUs, PyTorch on GPUs, Ray
LOST = ("node has died", "node was terminated", "node is dead", "is unavailable")  # Ray, of an actor
LESS_MEMORY = "let fewer trials run at once (compute.workers), or make batches smaller"


def reason_of_error(error: Exception, folder: Path) -> str:
    """Returns why an error ended the trial of a folder, with the remedy where memory or disk space ran out."""
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno in FULL:
            return (
                f"the trial store cannot be written ({cause.strerror}): make room for {cause.filename or folder}, "
                "and run it again"
            )
        if isinstance(cause, MemoryError) or any(text in str(cause).lower() for text in SHORT):
            return f"out of memory ({type(cause).__name__}: {cause}): {LESS_MEMORY}"
    return f"{type(error).__name__}: {error}"


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yields an error and those that it came from: a writer that cannot finish its file hides the reason."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def reason_of_death(details: str) -> str:
    """Returns why a worker process died for good.

    `details` is the text of Tune's error file of the trial: "Failure # N" and a message for each failure.
    """
    _, *lines = _last_failure(details).strip().splitlines()
    message = lines[0] if lines else "no message"
    last = "\n".join(lines).lower()
    if "low on memory" in last:
        return f"Ray ended its worker process again, since memory was short: {LESS_MEMORY}. {message}"
    if "worker process has died" in last:
        return f"its worker process died again: it crashed, or was killed, perhaps for want of memory: {LESS_MEMORY}"
    return f"its worker process died again: {message}"


def node_lost(details: str) -> bool:
    """Returns whether a worker process died with its node or with the connection to it; `details` as above."""
    last = _last_failure(details).lower()
    return "worker process has died" not in last and any(text in last for text in LOST)


def _last_failure(details: str) -> str:
    return details.rsplit("Failure # ", 1)[-1]
