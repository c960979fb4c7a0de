"""The means of an epoch's steps, and losses that are not finite."""

import math

import pytest
import torch

from experiments.trials.training import TrialFailed, mean_scalars


def test_means_are_weighted_by_images():
    steps = [{"loss": torch.tensor(1.0), "images": 30}, {"loss": 4.0, "images": 10, "rate": 0.5}]
    steps[0]["rate"] = 0.1
    found = mean_scalars(iter(steps), 0)
    assert found == pytest.approx({"images": 40, "loss": 1.75, "rate": 0.2})


@pytest.mark.parametrize("loss", [math.nan, math.inf, -math.inf])
def test_the_first_step_whose_loss_is_not_finite_is_named(loss):
    steps = [{"loss": torch.tensor(value), "images": 1} for value in (1.0, loss, 2.0)]
    with pytest.raises(TrialFailed, match="epoch 7, step 1"):
        mean_scalars(iter(steps), 7)
