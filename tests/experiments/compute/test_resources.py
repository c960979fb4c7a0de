"""How many trials run at once on which machine."""

import pytest

from data.errors import UserError
from experiments.compute.resources import resolve
from experiments.settings.schema import Compute


@pytest.mark.parametrize(
    ("compute", "cores", "gpus", "workers", "cpus", "share"),
    [
        ({}, 2, 0, 2, 1, 0),
        ({}, 16, 0, 16, 1, 0),
        ({"cpus_per_trial": 3}, 16, 0, 5, 3, 0),
        ({"workers": 4}, 2, 0, 4, 1, 0),
        ({}, 16, 1, 8, 1, 1 / 8),
        ({}, 2, 1, 2, 1, 1 / 2),
        ({}, 64, 4, 32, 1, 1 / 8),
        ({"workers": 3}, 16, 2, 3, 1, 1 / 2),
        ({"gpus_per_trial": 0}, 16, 1, 16, 1, 0),
        ({"gpus_per_trial": 0.25}, 16, 2, 8, 1, 0.25),
        ({"gpus_per_trial": 0.3}, 16, 1, 3, 1, 0.3),
        ({"gpus_per_trial": 2.0}, 16, 4, 2, 1, 2),
        ({"gpus_per_trial": 1.0}, 2, 8, 2, 1, 1),
    ],
)
def test_what_is_null_is_chosen(compute, cores, gpus, workers, cpus, share):
    found = resolve(Compute(**compute), cores, gpus)
    assert (found.workers, found.cpus) == (workers, cpus)
    assert found.gpus == pytest.approx(share)
    assert found.workers * found.gpus <= gpus + 1e-9


@pytest.mark.parametrize(
    ("compute", "gpus", "stack"),
    [({}, 0, 1), ({}, 1, 8), ({"gpus_per_trial": 0}, 1, 1), ({"stack": 4}, 0, 4), ({"stack": 1}, 1, 1)],
)
def test_trials_are_stacked_on_gpus(compute, gpus, stack):
    assert resolve(Compute(**compute), 4, gpus).stack == stack


@pytest.mark.parametrize(
    ("compute", "cores", "gpus", "message"),
    [
        ({"cpus_per_trial": 9}, 8, 0, "cpus_per_trial = 9: this machine has 8 CPUs"),
        ({"gpus_per_trial": 0.1}, 8, 0, "gpus_per_trial = 0.1: this machine has none"),
        ({"gpus_per_trial": 2.0}, 8, 1, "gpus_per_trial = 2: this machine has 1"),
    ],
)
def test_more_than_there_is_is_refused(compute, cores, gpus, message):
    with pytest.raises(UserError, match=message):
        resolve(Compute(**compute), cores, gpus)
