"""SIGTERM is taken as SIGINT, and only while it is asked for."""

import os
import signal
import subprocess

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


def test_what_is_started_while_sigterm_is_blocked_takes_none():
    with sigterm_blocked():
        child = subprocess.Popen(["sleep", "60"])
    later = subprocess.Popen(["sleep", "60"])
    child.terminate()
    later.terminate()
    assert later.wait() == -signal.SIGTERM
    assert child.poll() is None
    child.kill()
    assert child.wait() == -signal.SIGKILL
