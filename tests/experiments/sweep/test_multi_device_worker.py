"""Sweeps whose trials have two devices each: Ray Tune, Ray Train and gloo, on CPUs."""

import pytest

from experiments.trial_store.folders import TrialStore
from tests.experiments.learning.test_variational import SHIPPED
from tests.experiments.sweeping import table

SMALL = {"updates": 1, "epochs": 1, "batch": 500, "labelled_batch": 64}
SMALL |= {"code_hidden": 2, "switch_hidden": 2, "draws": 1}


@pytest.fixture
def spread(tracked):
    """A world whose profile asks for trials on two devices."""
    tracked.params(
        default={"systems": ["bsvm", "toy-nan-spread"]},
        compute={"workers": 1, "devices_per_trial": 2},
        vae={**SHIPPED["vae"], **SMALL},
        supervised=SHIPPED["supervised"],
        systems={"bsvm": SHIPPED["systems"]["bsvm"]},
    )
    return tracked


@pytest.mark.slow
def test_trials_on_two_devices_end_in_the_table(spread):
    """One to its end, and one whose first device finds a loss that is no number while the other one waits for it."""
    out, err = spread.run("run")
    assert "1 done, 1 failed" in out, err
    assert "each on 2 devices of 1 CPU" in err
    done, failed = table(spread.results)
    assert (done["status"], done["system"], done["epochs"]) == ("done", "bsvm", "1")
    assert done["mlflow_run_id"]
    folder = TrialStore(spread.store).folder(done["trial_id"])
    assert folder.result()["devices"] == folder.result()["trial"]["devices"] == 2
    assert [row["epoch"] for row in folder.rows()] == [0]
    assert failed["status"] == "failed"
    assert "the loss is not finite (nan) in epoch 1" in failed["reason"]
