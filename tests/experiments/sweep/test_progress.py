"""How far a sweep is, and the time that is left."""

import pytest

from experiments.sweep.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    now = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    return now


def test_the_time_left_follows_what_trials_really_take(clock):
    progress = Progress({"a": 10.0, "b": 10.0, "c": 10.0, "d": 10.0}, workers=2, reused=3)
    assert progress.seconds_left == 20
    progress.begin("a"), progress.begin("b")
    clock[0] += 20  # twice as long as expected
    progress.end("a"), progress.end("b", "broke")
    assert progress.seconds_left == 20
    progress.begin("c")
    clock[0] += 5
    assert progress.seconds_left == (15 + 20) / 2
    assert str(progress) == "1 of 4 done, 1 running, 1 failed, 3 reused, about 18 s left"
    progress.begin("d"), progress.end("c"), progress.end("d")
    assert progress.seconds_left == 0
    assert progress.failed == {"b": "broke"}


def test_trials_that_train_as_one_share_their_time(clock):
    progress = Progress({"a": 10.0, "b": 10.0, "c": 10.0}, workers=1, reused=0)
    progress.begin("a", 2), progress.begin("b", 2)
    clock[0] += 10
    assert progress.seconds_left == 5 + 5 + 10
    clock[0] += 10
    progress.end("a"), progress.end("b")
    assert progress.seconds_left == 10
