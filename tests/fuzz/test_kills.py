"""A driver that is killed, again and again, at moments spread over a whole sweep, its first ten seconds above all."""

import random
import time

import pytest

from tests.experiments.sweeping import (
    assert_whole,
    descendants,
    results,
    running,
    undisturbed,
    wait_for_results,
    wait_until_gone,
)

TRIALS = 12
FIRST_SECONDS = 10.0  # in which Ray starts and MLflow's database is made


def moments(chance, starting, midway):
    """Pairs (trials that are done, seconds after that) in the order of the kills: a start, later ones, the very end."""
    starts = [(0, FIRST_SECONDS * (part + chance.random()) / starting) for part in range(starting)]
    later = [(done, chance.uniform(0, 0.5)) for done in sorted(chance.sample(range(1, TRIALS - 1), midway))]
    return [*starts, *later, (TRIALS, 0.0)]


@pytest.mark.slow
def test_a_driver_killed_at_any_moment_loses_nothing(world, monkeypatch, attempts, tally):
    kills = tally("kills (SIGKILL) of a sweep's driver, from its first moments to its last")
    profile = {"proportions": [0.02, 0.05, 0.1, 0.2], "repetitions": TRIALS // 4}
    world.params(default=profile, toys={"epochs": 3, "busy": 0.4})
    children = set()
    for done, seconds in moments(random.Random(2016), attempts(1, 9), attempts(1, 5)):
        before = results(world)
        with running(world) as driver:
            wait_for_results(world, driver, done)
            time.sleep(seconds)
            children |= descendants(driver.pid)
            assert driver.poll() is None, f"over before it was killed: {done} {seconds}"
        kept = results(world).items() >= before.items()  # what was done is not run again
        kills.count("survived" if kept else "lost")
    before = results(world)
    _, err = world.run("run")
    assert f"{TRIALS} reused, 0 to run" in err
    assert results(world) == before
    assert_whole(world, undisturbed(monkeypatch))
    wait_until_gone(children)
    assert not kills.harm
