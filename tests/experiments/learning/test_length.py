"""The length of a training: as many steps as were asked for, in epochs of the same length."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from experiments.learning.length import SHORTEST, Length


@given(st.integers(1, 5_000), st.integers(1, 30), st.integers(1, 20_000), st.integers(1, 300))
def test_a_training_is_as_long_as_asked_for_and_hardly_longer(updates, epochs, images, batch):
    made, steps = Length(updates=updates, epochs=epochs).schedule(images, batch)
    least = max(updates, epochs * math.ceil(images / batch))
    assert least <= made * steps < least + made  # steps are rounded up, less than one an epoch
    assert made >= epochs


@pytest.mark.parametrize(
    ("updates", "epochs", "images", "expected"),
    [
        (1, 3, 1_000, (3, 32)),  # passes alone
        (850, 1, 4_500, (6, 142)),  # about a pass each: 141 steps
        (850, 1, 45, (17, SHORTEST)),  # a pass is two steps
        (20, 1, 45, (1, 20)),
        (40, 4, 45, (4, 10)),
    ],
)
def test_epochs_are_passes_or_of_fifty_steps(updates, epochs, images, expected):
    assert Length(updates=updates, epochs=epochs).schedule(images, 32) == expected


@pytest.mark.parametrize("wrong", [{"updates": 0}, {"epochs": 0}])
def test_a_training_has_a_length(wrong):
    with pytest.raises(ValidationError):
        Length(**{"updates": 1, "epochs": 1, **wrong})
