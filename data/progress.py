"""A progress bar for whatever may take longer than a moment."""

from __future__ import annotations

import sys

from tqdm import tqdm


def progress(total: int | None, what: str, unit: str, slot: int | None = None, done: int = 0) -> tqdm:
    """A bar of `total` units with the rate and the time left, on stderr; silent when done within two seconds.

    None is a total that nobody knows. `slot` is its line, from 0, where there are several bars at once: they go when
    they are done. `done` are the units that were there before. Where stderr is not a terminal (a log file), it writes
    a line every ten seconds at most, wherever its slot.
    """
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
