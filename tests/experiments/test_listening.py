"""Every command that starts a Ray of its own keeps it on the loopback address; tests/data/prepared has `prepare`."""

import pytest

from tests.data.workers.listening import assert_closed, watched
from tests.experiments.learning.test_variational import SHIPPED
from tests.experiments.searching import ask_for

STUDIED = {"updates": 1, "epochs": 1, "batch": 50, "labelled_batch": 4}
STUDIED |= {"code_hidden": 2, "switch_hidden": 2, "draws": 1}


def study(world):
    world.params(vae={**SHIPPED["vae"], **STUDIED}, systems={"bsvm": {"gamma": 1.0}})


def spread(world):
    world.params(default={"systems": ["toy-nan-spread"]}, compute={"workers": 1, "devices_per_trial": 2})


COMMANDS = {
    "run": (lambda world: None, ["run"]),
    "run on two devices": (spread, ["run"]),
    "search": (lambda world: ask_for(world, trials=1, proportions=[0.1]), ["search", "toy"]),
    "study": (study, ["study", "estimators", "--seconds", "0.1", "--repetitions", "1", "--gradients", "2"]),
}


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_listens_beyond_loopback(tracked, command):
    """Nor where the environment turns the token off."""
    tracked.environment["RAY_AUTH_MODE"] = "disabled"
    prepare, arguments = COMMANDS[command]
    prepare(tracked)
    process = tracked.start(*arguments)
    with watched(process.pid) as seen:
        out, err = process.communicate(timeout=300)
    assert process.returncode == 0, out + err
    assert "Traceback" not in out + err
    assert ("the loss is not finite (nan)" in out) == ("devices" in command), out  # both ranks came so far
    assert_closed(seen)
