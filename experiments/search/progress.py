"""How far a search is, and how long it will take."""

from __future__ import annotations

import time
from collections.abc import Sequence

from experiments.search.evidence import best
from experiments.search.protocol import Setting
from experiments.sweep.live_line import duration


class SearchProgress:
    """Counts of settings, the best one so far, and the time left.

    Args:
        system: the system that is searched.
        before: the settings that were known when the search began.
        left: number of settings that are still to be tried.
        expected: seconds that all of them together are expected to take.
    """

    def __init__(self, system: str, before: Sequence[Setting], left: int, expected: float) -> None:
        self.system, self.expected = system, expected
        self.settings = {setting.number: setting for setting in before}
        self.goal = len(self._ended) + left
        self.left_before = left
        self.started = time.monotonic()

    def update(self, setting: Setting) -> None:
        """Notes what is newly known of the setting."""
        self.settings[setting.number] = setting

    @property
    def _ended(self) -> list[Setting]:
        return [setting for setting in self.settings.values() if setting.state != "running"]

    @property
    def left(self) -> int:
        return self.goal - len(self._ended)

    @property
    def seconds_left(self) -> float:
        """Expected seconds to the end, at the pace of the settings that have ended; before any has, the estimate."""
        taken, ended = time.monotonic() - self.started, self.left_before - self.left
        return self.left * taken / ended if ended else max(0.0, self.expected - taken)

    def __str__(self) -> str:
        states = [setting.state for setting in self.settings.values()]
        top = best(list(self.settings.values()))
        score = f"best {top.score:.2f}% (setting {top.number})" if top else "none complete yet"
        return (
            f"{self.system}: {len(self._ended)} of {self.goal} settings done ({states.count('pruned')} stopped early, "
            f"{states.count('failed')} failed), {states.count('running')} running, {score}, "
            f"about {duration(self.seconds_left)} left"
        )
