"""What commands print, on outputs that do not take every letter."""

from __future__ import annotations

import io
import sys


def write_every_letter() -> None:
    """Makes this process's output write letters that its encoding lacks as escapes, such as \\u03be for ξ.

    A pipe, a log or a terminal whose locale is not UTF-8 would otherwise end a command in the middle.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
