"""The live line of a sweep: how many trials are done, running, failed and reused, and the time left."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import TextIO

from rich.text import Text

PLAIN_SECONDS = 10.0  # between two lines in a log
TERMINAL_SECONDS = 0.25  # between two updates on a terminal


def duration(seconds: float) -> str:
    """Returns seconds as people read them: 42 s, 3 min 20 s, 2 h 05 min."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    return f"{minutes // 60} h {minutes % 60:02} min"


class Live(AbstractContextManager["Live"]):
    """Shows one line: rewritten in place on a terminal, and elsewhere printed anew, at most every 10 seconds."""

    def __init__(self, stream: TextIO = sys.stderr) -> None:
        self.stream = stream
        self.shown_at, self.shown = -PLAIN_SECONDS, ""
        self.links: dict[str, str] = {}  # pages that show this work, by name
        self.status = None
        if stream.isatty():
            from rich.console import Console

            self.status = Console(file=stream).status("starting")

    def __enter__(self) -> Live:
        if self.status:
            self.status.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self.status:
            self.status.stop()

    @property
    def due(self) -> bool:
        """Whether it is time for another line."""
        return time.monotonic() - self.shown_at >= (TERMINAL_SECONDS if self.status else PLAIN_SECONDS)

    def show(self, line: str) -> None:
        """Shows the line, unless it is the one shown already."""
        self.shown_at = time.monotonic()
        if line == self.shown:
            return
        self.shown = line
        if self.status:
            self.status.update(Text.assemble(line, *self._linked()))
        else:
            print(line, file=self.stream, flush=True)

    def link(self, name: str, page: str) -> None:
        """Links a page from the line and prints its address."""
        self.links[name] = page
        self.note(f"{name}: {page}")

    def _linked(self) -> Iterator[str | tuple[str, str]]:
        for name, page in self.links.items():
            yield " · "
            yield name, f"underline link {page}"

    def note(self, line: str) -> None:
        """Prints a line that stays."""
        if self.status:
            self.status.console.print(line, markup=False, highlight=False)
        else:
            print(line, file=self.stream, flush=True)
