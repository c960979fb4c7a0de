"""A limit on the time of one attempt, for loops that run in the test's own process."""

import signal
from contextlib import contextmanager

SECONDS = 20  # that an attempt may take, where its loop does not say


class Hanging(BaseException):
    """An attempt took too long. No `except Exception` of the code under test hides it."""


@contextmanager
def in_time(seconds=SECONDS):
    """Raises Hanging where the block takes longer."""

    def late(*_):
        raise Hanging(f"it took longer than {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
