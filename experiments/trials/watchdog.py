"""Ends a process that is stuck, and notes where it was stuck."""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def within(seconds: float, note: Path) -> Iterator[None]:
    """Ends this process if the block takes longer than `seconds`, whatever it is doing.

    The file `note` then holds the stacks of its threads; it is removed where the block ends in time. A process may
    be in one such block at a time.
    """
    with note.open("w", encoding="utf-8") as stream:
        faulthandler.dump_traceback_later(seconds, exit=True, file=stream)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            note.unlink()


def stacks_in(note: Path) -> str:
    """Returns the stacks of a process that was ended in this way, or "" where none was."""
    try:
        return note.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
