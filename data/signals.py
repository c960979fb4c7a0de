"""SIGTERM, which schedulers and service managers send to end a program, taken as Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def sigterm_as_sigint() -> Iterator[None]:
    """Within the block, SIGTERM does what SIGINT does, or raises KeyboardInterrupt where that is ignored.

    A shell's job in the background ignores SIGINT. Outside of the main thread nothing changes.
    """
    with sigterm_kept():
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, _interrupt)
        yield


@contextmanager
def sigterm_kept() -> Iterator[None]:
    """After the block, SIGTERM does what it did before: some libraries change that."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


@contextmanager
def sigterm_blocked() -> Iterator[None]:
    """Blocks SIGTERM in this thread while the block lasts, and for good in the processes that it starts.

    A service manager sends the signal to all processes at once; those then live until their parent ends them.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    handler = signal.getsignal(signal.SIGINT)
    if callable(handler):
        handler(signal.SIGINT, frame)
    else:
        raise KeyboardInterrupt
