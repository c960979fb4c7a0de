"""A limit on the time of one attempt, for loops that run in the test's own process."""

import signal
from contextlib import contextmanager

SECONDS = 20  # that an attempt may take


class Hanging(BaseException):
    """An attempt took too long. No `except Exception` of the code under test hides it."""


@contextmanager
def in_time():
    """Raises Hanging where the block takes longer than an attempt may."""

    def late(*_):
        raise Hanging(f"it took longer than {SECONDS} s")

    signal.signal(signal.SIGALRM, late)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
