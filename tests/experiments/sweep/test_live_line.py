"""The live line."""

import io

import pytest

from experiments.sweep.live_line import Live, duration


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(
    ("seconds", "told"),
    [(0, "0 s"), (59.4, "59 s"), (59.6, "1 min 00 s"), (200, "3 min 20 s"), (7500, "2 h 05 min")],
)
def test_durations_are_readable(seconds, told):
    assert duration(seconds) == told


def test_where_nobody_watches_a_line_comes_every_ten_seconds_at_most(clock):
    stream = io.StringIO()
    with Live(stream) as live:
        assert live.due
        live.show("one")
        clock[0] += 9
        assert not live.due
        clock[0] += 2
        assert live.due
        live.show("one")
        live.show("two")
        live.note("kept")
    assert stream.getvalue() == "one\ntwo\nkept\n"
