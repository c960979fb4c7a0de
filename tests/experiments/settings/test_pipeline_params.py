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
ROW = {"vae.architecture": ["cifar-10", "mnist"]}  # values to try, where no other number or the like will do


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
    if ".".join(path) in ROW:
        return ROW[".".join(path)]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [value + 1, value / 2, value - 1, math.ceil(value / 2)]
    if isinstance(value, list):
        return [value[:-1], [*value, 0.37], [*value, 1]]
    return [2, 0.5, "file", "published", "none", "shared", "rloo", "greedy", "lstm", "float32"]


def is_named(path, names):
    """Whether `params` of a stage cover a setting."""
    return any(".".join(path[:depth]) in names for depth in range(1, len(path) + 1))


@pytest.fixture
def observed(tmp_path, monkeypatch, toy_images):
    """What the stages would do with some settings: the identities of trials, and the arguments of each data stage."""
    from data import stages
    from experiments import __main__ as commands
    from experiments.settings.config import load
    from experiments.trial_store.layout import Layout
    from experiments.trials.grid import trials

    heard = {}
    for name in ("download", "prepare", "split"):
        monkeypatch.setattr(stages, name, lambda *args, name=name, **options: heard.update({name: (args, options)}))

    def observe(params):
        path = tmp_path / "params.yaml"
        monkeypatch.setattr("experiments.settings.config._read", lambda path: copy.deepcopy(params))  # YAML is slow
        config = load(path)
        layout = Layout.at(str(toy_images), str(tmp_path / "store"))
        for name in ("download", "prepare", "split"):
            commands.data(name, path)
        return {"sweep": [trial.identity for trial in trials(config, layout)], **heard}

    return observe


@pytest.fixture
def small():
    """The shipped settings with a profile for which the synthetic images have splits."""
    params = copy.deepcopy(PARAMS)
    params["profiles"]["default"]["repetitions"] = 1
    return params


def test_a_stage_names_every_setting_that_it_reads(observed, small):
    usual, tried = observed(small), set()
    for path in leaves(small):
        for value in others(path, at(small, path)):
            try:
                seen = observed(changed(small, path, value))
            except UserError:
                continue
            tried.add(path)
            for stage in ("download", "prepare", "split", "sweep"):
                if seen[stage] != usual[stage]:
                    assert is_named(path, STAGES[stage]["params"]), f"{stage} reads {'.'.join(path)}"
    assert {("vae", "epochs"), ("compute", "devices_per_trial"), ("data", "images")} <= tried


def test_a_setting_that_is_left_out_is_noticed(observed, small):
    more = changed(small, ("compute", "devices_per_trial"), 2)
    more["profiles"]["default"]["systems"] = ["bsvm"]
    one = copy.deepcopy(more)
    one["compute"]["devices_per_trial"] = None
    assert observed(more)["sweep"] != observed(one)["sweep"]
    names = [name for name in STAGES["sweep"]["params"] if name != "compute.devices_per_trial"]
    assert not is_named(("compute", "devices_per_trial"), names)
