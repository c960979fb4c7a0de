"""Ends a process that is stuck, and notes where it stood."""

from __future__ import annotations

import faulthandler
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def within(seconds: float, note: Path) -> Iterator[None]:
    """Ends this process, at once and whatever it is at, when the block takes longer; `note` then has its stacks.

    Otherwise the note is gone when the block ends. One such block at a time in a process.
    """
    with note.open("w", encoding="utf-8") as stream:
        faulthandler.dump_traceback_later(seconds, exit=True, file=stream)
        try:
            yield
        finally:
            faulthandler.cancel_dump_traceback_later()
            note.unlink()


def stood_at(note: Path) -> str:
    """Where a process stood that was ended so; empty where none was."""
    try:
        return note.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
