"""A progress bar for work that may take longer than a moment."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tqdm import tqdm


def progress(total: int | None, what: str, unit: str, slot: int | None = None, done: int = 0) -> tqdm:
    """Returns a progress bar on stderr with the rate and the time left; it stays silent within the first two seconds.

    Args:
        total: units of work; None if unknown.
        what: the text before the bar.
        unit: the name of a unit.
        slot: the bar's line, from 0, where several bars are shown at once; such bars vanish when they are done.
        done: units that were done before.

    Where stderr is not a terminal but, say, a log file, a line is written every ten seconds at most.
    """
    from tqdm import tqdm  # here, so that reading prepared images needs NumPy alone

    terminal = sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=what,
        unit=unit,
        unit_scale=True,
        initial=done,
        position=slot if terminal else 0,
        leave=slot is None or not terminal,
        delay=2.0,
        mininterval=0.2 if terminal else 10.0,
        dynamic_ncols=True,
    )
