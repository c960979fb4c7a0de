"""What a part of the benchmark consists of: cases, each measured by itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


class LeftOut(Exception):
    """A case cannot be measured here, and nothing is wrong with that; the message says why."""


Values = Mapping[str, float | bool | str]


@dataclass(frozen=True)
class Case:
    """One measurement.

    Attributes:
        name: what it is of, unique within its part.
        run: measures it. A value `holds` says whether a claim holds.
        series: cases of one series need ever more memory: where one does not fit, the later ones are not tried.
    """

    name: str
    run: Callable[[], Values]
    series: str | None = None


@dataclass(frozen=True)
class Row:
    """What came of a case.

    Attributes:
        case: its name.
        values: what was measured; empty where nothing was.
        reason: why nothing was measured.
        failed: whether that is a failure of the project, and not a lack of memory or time, or of CUDA.
    """

    case: str
    values: Values = field(default_factory=dict)
    reason: str | None = None
    failed: bool = False

    @property
    def wrong(self) -> bool:
        """Whether the case failed, or its claim does not hold."""
        return self.failed or self.values.get("holds") is False
