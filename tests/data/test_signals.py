"""SIGTERM is taken as SIGINT, and only while it is asked for."""

import os
import signal

import pytest

from data.signals import sigterm_as_sigint, sigterm_blocked


def test_sigterm_calls_the_handler_of_sigint(monkeypatch):
    calls, before = [], signal.getsignal(signal.SIGTERM)
    own = signal.signal(signal.SIGINT, lambda number, frame: calls.append(number))
    try:
        with sigterm_as_sigint():
            os.kill(os.getpid(), signal.SIGTERM)
        assert calls == [signal.SIGINT]
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in a shell's job in the background
        with sigterm_as_sigint(), pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGINT, own)
    assert signal.getsignal(signal.SIGTERM) == before


def test_sigterm_waits_until_it_is_no_longer_blocked():
    with sigterm_as_sigint(), pytest.raises(KeyboardInterrupt), sigterm_blocked():
        os.kill(os.getpid(), signal.SIGTERM)
        blocked = True
    assert blocked
