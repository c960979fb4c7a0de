"""A trial's name depends on all that its result depends on, and on nothing else."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.identity import canonical, identity

TRIAL = {
    "dataset": "mnist-5k",
    "system": "bsvm",
    "proportion": 0.01,
    "xi": "auto",
    "seed": 0,
    "settings": {"epochs": 30, "learning_rate": 0.002, "reading": "factorised"},
}
REST = {"data": "d" * 64, "split": "5" * 64, "version": 1}


def test_recorded_value():
    assert identity(TRIAL, **REST) == "04f525ea759c6db9"


def test_the_order_of_keys_does_not_matter():
    turned = dict(reversed(TRIAL.items())) | {"settings": dict(reversed(TRIAL["settings"].items()))}
    assert list(turned) != list(TRIAL)
    assert identity(turned, **REST) == identity(TRIAL, **REST)


@pytest.mark.parametrize(
    "change",
    [
        {"dataset": "mnist"},
        {"system": "softmax"},
        {"proportion": 0.05},
        {"xi": 1.0},
        {"xi": None},
        {"seed": 1},
        {"settings": TRIAL["settings"] | {"epochs": 31}},
    ],
)
def test_each_entry_of_the_trial_matters(change):
    assert identity(TRIAL | change, **REST) != identity(TRIAL, **REST)


@pytest.mark.parametrize("change", [{"data": "e" * 64}, {"split": "6" * 64}, {"version": 2}])
def test_data_split_and_version_matter(change):
    assert identity(TRIAL, **(REST | change)) != identity(TRIAL, **REST)


def test_another_process_finds_the_same_name():
    code = f"from experiments.identity import identity; print(identity({TRIAL!r}, **{REST!r}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == identity(TRIAL, **REST)


plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(plain)
def test_the_canonical_form_can_be_read_back_without_loss(value):
    assert json.loads(canonical(value)) == value


def test_a_number_that_is_not_finite_has_no_canonical_form():
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical({"a": float("nan")})
