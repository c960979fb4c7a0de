"""Whether dvc.yaml names every setting that its stages read, seen by changing each setting of params.yaml in turn."""

import copy
import math
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from data.errors import UserError

ROOT = Path(__file__).parents[3]
STAGES = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
PARAMS = YAML(typ="safe").load(ROOT / "params.yaml")
# Values to try, where no other number or the like will do.
VALUES = {
    "vae.architecture": ["cifar-10", "caltech-101"],
    "dataset": ["fashion-mnist", "emoji"],
    "data.images": [100],
    "profile": ["other"],
}


def leaves(value, path=()):
    """Dotted paths of all values of nested mappings."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    else:
        yield path


def at(params, path):
    for key in path:
        params = params[key]
    return params


def changed(params, path, value):
    made = copy.deepcopy(params)
    at(made, path[:-1])[path[-1]] = value
    return made


def others(path, value):
    """Other values that the setting at a path may take, some of which may be refused."""
    if ".".join(path) in VALUES:
        return VALUES[".".join(path)]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, value / 2, value - 1, math.ceil(value / 2)]
    if isinstance(value, list):
        return [value[:-1], [*value, 0.37], [*value, 1], [*value, 40]]
    return [2, 0.5, "file", "published", "none", "shared", "rloo", "greedy", "lstm", "float32"]


def is_named(path, names):
    """Whether `params` of a stage cover a setting."""
    return any(".".join(path[:depth]) in names for depth in range(1, len(path) + 1))


@pytest.fixture
def loaded(monkeypatch, tmp_path):
    """Loads settings without a file: reading YAML is slow."""
    from experiments.settings.config import load

    def load_params(params):
        monkeypatch.setattr("experiments.settings.config._read", lambda path: copy.deepcopy(params))
        return load(tmp_path / "params.yaml")

    return load_params


@pytest.fixture
def data_stages(monkeypatch, loaded):
    """What each stage of data would be asked for with some settings."""
    from data import stages
    from experiments import __main__ as commands

    calls = {}
    for name in ("download", "prepare", "split"):
        monkeypatch.setattr(stages, name, lambda *args, name=name, **options: calls.update({name: (args, options)}))

    def observe(params):
        config = loaded(params)
        monkeypatch.setattr("experiments.settings.config.load", lambda *_: config)  # for the commands
        for name in ("download", "prepare", "split"):
            commands.data(name, Path("params.yaml"))
        return dict(calls)

    return observe


@pytest.fixture
def sweep(tmp_path, toy_images, loaded):
    """The identities of the trials that a sweep would run with some settings."""
    from experiments.trial_store.layout import Layout
    from experiments.trials.grid import trials

    layout = Layout.at(str(toy_images), str(tmp_path / "store"))
    return lambda params: {"sweep": [trial.identity for trial in trials(loaded(params), layout)]}


def small(**changes):
    """The shipped settings with a profile for which the synthetic images have splits."""
    params = {**copy.deepcopy(PARAMS), **changes}
    params["profiles"]["default"].update(proportions=[0.1], repetitions=1)
    params["profiles"]["other"] = {**params["profiles"]["default"], "proportions": [0.2]}
    return params


def read(observe, params):
    """Settings that were changed, and those whose change a stage notices, by stage."""
    usual, tried, noticed = observe(params), set(), {}
    for path in leaves(params):
        for value in others(path, at(params, path)):
            try:
                seen = observe(changed(params, path, value))
            except UserError:
                continue
            tried.add(path)
            for stage in seen:
                if seen[stage] != usual[stage]:
                    noticed.setdefault(stage, set()).add(path)
    return tried, noticed


def unnamed(noticed):
    """Settings that a stage reads and dvc.yaml does not name."""
    return [
        (stage, path) for stage in noticed for path in noticed[stage] if not is_named(path, STAGES[stage]["params"])
    ]


@pytest.mark.slow
def test_the_sweep_names_every_setting_that_changes_an_identity(sweep):
    tried, noticed = read(sweep, small())
    assert {("vae", "epochs"), ("supervised", "width"), ("profile",)} <= noticed["sweep"]
    assert len(tried) > 100
    assert not unnamed(noticed)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, {("download", ("data", "source")), ("split", ("search", "repetitions"))}),
        (
            {"dataset": "shapes", "profile": "captions"},
            {("prepare", ("data", "images")), ("split", ("data", "minimum_count"))},
        ),
        ({"dataset": "folder"}, {("prepare", ("vae", "architecture"))}),
    ],
)
def test_the_stages_of_data_name_every_setting_that_they_use(data_stages, changes, expected):
    _, noticed = read(data_stages, small(**changes))
    assert expected <= {(stage, path) for stage in noticed for path in noticed[stage]}
    assert not unnamed(noticed)


def test_several_devices_make_another_trial(sweep):
    one = small()
    one["profiles"]["default"]["systems"] = ["bsvm"]
    two = changed(one, ("compute", "devices_per_trial"), 2)
    assert sweep(one) != sweep(two)
    assert is_named(("compute", "devices_per_trial"), STAGES["sweep"]["params"])


def test_a_setting_that_is_left_out_is_noticed():
    assert unnamed({"sweep": {("compute", "devices_per_trial"), ("compute", "workers")}}) == [
        ("sweep", ("compute", "workers"))
    ]
