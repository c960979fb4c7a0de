import hashlib

import numpy as np
import pytest

from data.seeds import seed_of, shuffled


def test_seed_depends_on_every_name_and_value_but_not_on_their_order():
    seed = seed_of("split", dataset="mnist", repetition=0)
    assert seed == seed_of("split", repetition=0, dataset="mnist")
    others = {
        seed_of("weights", dataset="mnist", repetition=0),
        seed_of("split", dataset="mnist-5k", repetition=0),
        seed_of("split", dataset="mnist", repetition=1),
        seed_of("split", dataset="mnist"),
        seed_of("split", dataset="mnist", other=0),
    }
    assert len(others | {seed}) == 6


def test_seeds_are_the_recorded_ones():
    text = b'["split",{"dataset":"mnist","repetition":0}]'
    by_hand = int(hashlib.sha256(text).hexdigest()[:16], 16) // 2
    assert seed_of("split", dataset="mnist", repetition=0) == by_hand == 6195771770697584728


def test_an_axis_that_is_not_a_plain_value_is_refused():
    with pytest.raises(TypeError):
        seed_of("split", dataset=np.int64(3))
    with pytest.raises(ValueError, match="Out of range"):
        seed_of("split", proportion=float("nan"))


def test_shuffled_is_a_permutation_and_the_recorded_one():
    assert sorted(shuffled(1000, 3)) == list(range(1000))
    assert shuffled(8, 12345).tolist() == [7, 0, 1, 5, 4, 6, 3, 2]
    assert shuffled(0, 1).shape == (0,)
