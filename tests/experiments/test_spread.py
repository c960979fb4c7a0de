"""Sweeps whose trials have two devices each: Ray Tune, Ray Train and gloo, on CPUs."""

import json

import pytest

from experiments.config import load
from experiments.grid import Layout, trials
from experiments.trials import TrialStore
from tests.experiments.sweeping import table
from tests.experiments.test_variational import SHIPPED

SMALL = {"epochs": 1, "batch": 500, "labelled_batch": 64, "code_hidden": 2, "switch_hidden": 2, "draws": 1}


@pytest.fixture
def spread(tracked):
    """A world whose profile asks for trials on two devices."""
    tracked.params(
        default={"systems": ["bsvm"]},
        compute={"workers": 1, "devices_per_trial": 2},
        vae={**SHIPPED["vae"], **SMALL},
        supervised=SHIPPED["supervised"],
        systems={"bsvm": SHIPPED["systems"]["bsvm"]},
    )
    return tracked


@pytest.mark.slow
def test_a_trial_on_two_devices_ends_in_the_table(spread):
    out, err = spread.run("run")
    assert "1 done" in out, err
    assert "each on 2 devices of 1 CPU" in err
    (row,) = table(spread.results)
    assert (row["status"], row["system"], row["epochs"]) == ("done", "bsvm", "1")
    assert row["mlflow_run_id"]
    folder = TrialStore(spread.store).folder(row["trial_id"])
    assert folder.result()["devices"] == 2
    assert folder.result()["trial"]["devices"] == 2
    (epoch,) = folder.rows()
    assert 0 < epoch["images_per_second"]
