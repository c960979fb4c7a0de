"""A progress bar for whatever may take longer than a moment."""

from __future__ import annotations

import sys

from tqdm import tqdm


def progress(total: int, what: str, unit: str) -> tqdm:
    """A bar of `total` units with the time left, on stderr; silent when done within two seconds.

    Where stderr is not a terminal (a log file), it writes a line every ten seconds at most.
    """
    pause = 0.2 if sys.stderr.isatty() else 10.0
    return tqdm(total=total, desc=what, unit=unit, unit_scale=True, delay=2.0, mininterval=pause, dynamic_ncols=True)
