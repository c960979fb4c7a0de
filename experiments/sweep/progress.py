"""How far a sweep is, and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Mapping

from experiments.sweep.live_line import duration


class Progress:
    """Counts of trials, and the time left, from what each trial was expected to take.

    Args:
        expected: seconds that one worker is expected to take, by identity, for the trials that this sweep runs.
        workers: how many trials run at once.
        reused: number of trials that were done before.
    """

    def __init__(self, expected: Mapping[str, float], workers: int, reused: int) -> None:
        self.expected, self.workers, self.reused = dict(expected), workers, reused
        self.started: dict[str, float] = {}
        self.stacked: dict[str, int] = {}  # how many trials share the time of each that has begun
        self.ended: set[str] = set()
        self.failed: dict[str, str] = {}
        self.paid, self.taken = 0.0, 0.0  # seconds that the ended trials were expected to take, and took

    def begin(self, identity: str, stacked: int = 1) -> None:
        """Notes that the trial has begun, or begun again, in a stack of `stacked` trials."""
        self.started[identity], self.stacked[identity] = time.monotonic(), stacked

    def end(self, identity: str, failure: str | None = None) -> None:
        """Notes that the trial is done, or has failed for the given reason."""
        self.ended.add(identity)
        if failure is not None:
            self.failed[identity] = failure
        self.paid += self.expected[identity]
        self.taken += self._taken(identity)
        self.started.pop(identity, None)

    def wait(self, identity: str) -> None:
        """Notes that the trial was interrupted and will begin again."""
        self.started.pop(identity, None)

    def _taken(self, identity: str) -> float:
        """Returns the seconds that a trial has taken so far, its share where it is stacked."""
        now = time.monotonic()
        return (now - self.started.get(identity, now)) / self.stacked.get(identity, 1)

    @property
    def running(self) -> int:
        return len(self.started)

    @property
    def seconds_left(self) -> float:
        """Expected seconds to the end.

        The expected seconds of what is left, times the ratio of real to expected seconds so far, over the workers.
        """
        rate = self.taken / self.paid if self.taken and self.paid else 1.0
        running = [max(0.0, rate * self.expected[name] - self._taken(name)) for name in self.started]
        waiting = sum(
            rate * seconds
            for name, seconds in self.expected.items()
            if name not in self.ended and name not in self.started
        )
        return max([(sum(running) + waiting) / self.workers, *running])

    def __str__(self) -> str:
        done, failed = len(self.ended) - len(self.failed), len(self.failed)
        return (
            f"{done} of {len(self.expected)} done, {self.running} running, {failed} failed, "
            f"{self.reused} reused, about {duration(self.seconds_left)} left"
        )
