"""Runs the parts one after the other, each in a process of its own, within a limit of time for all of them."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from typing import Any

import torch

from benchmarks.gpu.cases import Row
from benchmarks.gpu.parts import BROKEN, NO_TIME, Outcome, Part, measure
from benchmarks.gpu.report import in_words

GRACE = 15.0  # seconds that a case may run on after its part's time, before its process is killed
PROCESSES = 4  # that a part may use up, where they die


class Run:
    """A run of several parts.

    Args:
        parts: in order.
        kind: "cuda" or "cpu".
        seconds: for all of them. A part's share grows with what earlier ones have left of theirs.
        tell: takes a line about each row, with the time that is left.

    Attributes:
        facts: what the numbers depend on, as the first process found it.
        outcomes: of the parts so far.
    """

    def __init__(self, parts: Sequence[Part], kind: str, seconds: float, tell: Callable[[str], None]) -> None:
        self._parts, self._kind, self._tell = parts, kind, tell
        self._began = time.monotonic()
        self._ends = self._began + seconds
        self.facts: dict[str, Any] = {}
        self.outcomes: list[Outcome] = []

    @property
    def seconds(self) -> float:
        """The seconds since the run began."""
        return time.monotonic() - self._began

    def outcome_of_each(self) -> Iterator[Outcome]:
        """Measures one part after the other; yields what came of it."""
        for number, part in enumerate(self._parts):
            later = self._planned(self._parts[number + 1 :])
            began = time.monotonic()
            ends = began + max(0.0, self._ends - began) * self._planned([part]) / (self._planned([part]) + later)
            outcome = Outcome(part)
            self.outcomes.append(outcome)
            for _ in range(PROCESSES):
                self._listen(outcome, began, ends)
                if len(outcome.rows) >= len(outcome.names) or time.monotonic() > ends:
                    break
            outcome.rows += [Row(name, reason=NO_TIME) for name in outcome.names[len(outcome.rows) :]]
            outcome.seconds = time.monotonic() - began
            yield outcome

    def _planned(self, parts: Sequence[Part]) -> float:
        return sum(part.seconds[self._kind] for part in parts)

    def _listen(self, outcome: Outcome, began: float, ends: float) -> None:
        """Has one process measure the cases that have no row yet, and adds their rows until it ends.

        Where it dies, or has to be killed, the case that it was at gets a row that says so.
        """
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe(duplex=False)
        left = max(0.0, ends - time.monotonic())
        asked = (outcome.part.module, self._kind, torch.get_num_threads(), left, len(outcome.rows), theirs)
        process = context.Process(target=measure, args=asked)
        process.start()
        theirs.close()
        reason = ""
        try:
            for message in _messages(ours, ends + GRACE):
                if isinstance(message, dict):
                    self.facts = self.facts or message
                elif isinstance(message, list):
                    outcome.names = message
                else:
                    self._add(outcome, message, began, ends)
        except TimeoutError:
            reason = "killed: it took too long"
        process.join(0 if reason else GRACE)
        process.kill()  # without effect on one that has ended
        process.join()
        lost = outcome.names[len(outcome.rows) :] if outcome.names else ["the part itself"]
        if lost and process.exitcode != BROKEN:
            reason = reason or f"its process ended with code {process.exitcode}"
            self._add(outcome, Row(lost[0], reason=reason, failed=True), began, ends)

    def _add(self, outcome: Outcome, row: Row, began: float, ends: float) -> None:
        """Adds a row, and tells of it and of the time that is left."""
        outcome.rows.append(row)
        now, done, cases = time.monotonic(), len(outcome.rows), len(outcome.names)
        here = max(0.0, min(ends - now, (now - began) * (cases - done) / done))
        later = min(self._planned(self._parts[len(self.outcomes) :]), max(0.0, self._ends - ends))
        self._tell(
            f"[{_clock(self.seconds)}] {outcome.part.name} {done}/{cases or 1}  {in_words(row)}; "
            f"about {_clock(here + later)} left"
        )


def _messages(connection: Connection, ends: float) -> Iterator[Any]:
    """Yields what comes, until the other side is closed. TimeoutError where that is not before `ends`."""
    while connection.poll(max(0.0, ends - time.monotonic())):
        try:
            yield connection.recv()
        except EOFError:
            return
    raise TimeoutError


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"
