"""The means of an epoch's steps, and losses that are not finite."""

import math
import weakref

import pytest
import torch

from experiments.trials.training import TrialFailed, mean_scalars


def test_means_are_weighted_by_images():
    steps = [{"loss": torch.tensor(1.0), "images": 30}, {"loss": 4.0, "images": 10, "rate": 0.5}]
    steps[0]["rate"] = 0.1
    found = mean_scalars(iter(steps), 0)
    assert found == pytest.approx({"images": 40, "loss": 1.75, "rate": 0.2})


def test_what_made_the_scalars_is_not_kept():
    """A loss holds on to all that it was computed from, an epoch must not."""
    alive, most = weakref.WeakSet(), 0

    def steps():
        nonlocal most
        for step in range(1000):
            weight = torch.tensor(float(step), requires_grad=True)
            made = weight * 2
            for tensor in (weight, made):
                alive.add(tensor)
            yield {"loss": made, "images": 1}
            del weight, made
            most = max(most, len(alive))

    assert mean_scalars(steps(), 0) == pytest.approx({"images": 1000, "loss": 999})
    assert most <= 4


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_the_first_step_whose_loss_is_not_finite_is_named(loss):
    steps = [{"loss": torch.tensor(value), "images": 1} for value in (1.0, loss, 2.0)]
    with pytest.raises(TrialFailed, match="epoch 7, step 1"):
        mean_scalars(iter(steps), 7)
