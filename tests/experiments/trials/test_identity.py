"""A trial's name depends on all that its result depends on, and on nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from experiments.learning import contract
from experiments.settings.config import load
from experiments.trials.grid import Trial
from experiments.trials.identity import canonical, hashed_settings, identity

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
    code = f"from experiments.trials.identity import identity; print(identity({TRIAL!r}, **{REST!r}))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == identity(TRIAL, **REST)


# By the settings that ship: they change when those do, or a system's version, and for no other reason.
SHIPPED = {
    "ablation": "5144b1941f238d00",
    "alexnet": "27cd88fab9499c4e",
    "bsvm": "0fa0560144893cbd",
    "caption": "9251cd3d4a1d707f",
    "cnn": "a250c10d88643038",
    "cnn-rnn": "8e42604588e9e911",
    "encoder": "096b59ef3f6c0a25",
    "fixmatch": "0e404090398d8ec1",
    "freematch": "d2fe579e5be825ca",
    "googlenet": "c321d2a375161dd1",
    "m2": "a9f54be54cf82953",
    "mean-teacher": "9aeff37c46cac5a4",
    "neighbour": "c2b59bd5e55e766f",
    "pseudo": "01f2d54d66d6abce",
    "softmax": "c0fed2474b2463d5",
    "tbsvm": "d463f8bbd0d94931",
    "transductive-encoder": "20d3440b0aa29cca",
}


@pytest.fixture(scope="module")
def shipped():
    return load(Path(__file__).parents[3] / "params.yaml")


def trial_of(shipped, system, **changes):
    settings = shipped.settings[system].model_copy(update=changes)
    xi = "auto" if contract.SYSTEMS.get(system).uses_xi else None
    return Trial("", "mnist-5k", system, 0.01, xi, 0, settings, labelled=35)


def found(trial):
    return trial.identified(REST["data"], REST["split"]).identity


@pytest.mark.parametrize("system", SHIPPED)
def test_recorded_identities_of_the_settings_that_ship(shipped, system):
    assert found(trial_of(shipped, system)) == SHIPPED[system]


@pytest.mark.parametrize(
    ("architecture", "estimator", "reading", "raised"),
    [
        ("mnist", "exact", "factorised", 0),  # nothing above the bottom layer pools
        ("cifar-10", "exact", "factorised", 1),
        ("mnist", "nvil", "factorised", 1),
        ("cifar-10", "nvil", "shared", 1),
        ("cifar-10", "rloo", "shared", 0),
        ("cifar-10", "gumbel", "shared", 0),
        ("unknown", "nvil", "factorised", 0),  # the trial reports it
    ],
)
def test_an_estimator_whose_results_changed_raises_the_version(shipped, architecture, estimator, reading, raised):
    trial = trial_of(shipped, "bsvm", architecture=architecture, estimator=estimator, reading=reading)
    version = contract.SYSTEMS.get("bsvm").version
    hashed = {**trial.mapping, "settings": hashed_settings(trial.settings)}
    assert found(trial) == identity(hashed, **{**REST, "version": version + raised})


@pytest.mark.parametrize("system", SHIPPED)
def test_a_setting_at_its_default_is_shown_but_not_hashed(shipped, system):
    optional = {
        name: field.default
        for name, field in contract.SYSTEMS.get(system).Settings.model_fields.items()
        if not field.is_required()
    }
    # Every other one is hashed whatever its value.
    assert optional == {"flip": False, "crop": 0.0, "arithmetic": "float32"}
    trial = trial_of(shipped, system)
    assert trial.mapping["settings"].items() >= optional.items()
    assert trial.mapping["settings"].keys() == contract.SYSTEMS.get(system).Settings.model_fields.keys()
    others = {name: value for name, value in trial.mapping["settings"].items() if name not in optional}
    version = contract.SYSTEMS.get(system).version
    assert identity({**trial.mapping, "settings": others}, **{**REST, "version": version}) == found(trial)
    changes = [{}, {"flip": True}, {"crop": 0.1}, {"arithmetic": "bfloat16"}]
    assert len({found(trial_of(shipped, system, **change)) for change in changes}) == 4


def test_a_sweeps_own_record_shows_settings_at_their_default(shipped):
    for settings in shipped.resolved()["settings"].values():
        assert (settings["flip"], settings["crop"]) == (False, 0.0)


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
