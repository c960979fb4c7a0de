"""`--set KEY=VALUE`: settings that are changed for one command."""

from pathlib import Path

import pytest

from data.errors import UserError
from experiments.settings.config import load
from experiments.settings.overrides import applied, parse


@pytest.mark.parametrize(
    ("option", "changes"),
    [
        ("profile=captions", {"profile": "captions"}),
        ("data.images=100", {"data.images": 100}),
        ("vae.learning_rate=1e-3", {"vae.learning_rate": 0.001}),
        ("search.repetitions=[5, 6]", {"search.repetitions": [5, 6]}),
        ("data.source=null", {"data.source": None}),
        ("data.source=", {"data.source": None}),
        ("tracking.uri=http://host/?a=b", {"tracking.uri": "http://host/?a=b"}),
        ("systems.cnn-rnn.flip=true", {"systems.cnn-rnn.flip": True}),
    ],
)
def test_a_value_is_yaml(option, changes):
    assert parse([option]) == changes


def test_the_later_of_two_values_counts():
    assert parse(["vae.epochs=1", "vae.epochs=2"]) == {"vae.epochs": 2}


@pytest.mark.parametrize("option", ["profile", "=3", "data.=3", ".images=3", "data.images=[", "data.images={a"])
def test_what_is_no_setting_is_refused(option):
    with pytest.raises(UserError, match="--set"):
        parse([option])


def test_only_the_named_values_change():
    content = {"data": {"images": 1, "source": "a"}, "systems": {"bsvm": None}, "profile": "default"}
    changed = applied(content, {"data.images": 2, "systems.bsvm.gamma": 1.0, "compute.workers": 3})
    assert changed == {
        "data": {"images": 2, "source": "a"},
        "systems": {"bsvm": {"gamma": 1.0}},
        "profile": "default",
        "compute": {"workers": 3},
    }
    assert content == {"data": {"images": 1, "source": "a"}, "systems": {"bsvm": None}, "profile": "default"}


def test_a_key_through_a_value_is_refused():
    with pytest.raises(UserError, match=r"--set profile\.name: profile is 'default' and not a section"):
        applied({"profile": "default"}, {"profile.name": 1})


def test_a_command_sees_the_changed_settings_and_the_file_stays(world, main):
    before = Path("params.yaml").read_bytes()
    code, out, err = main("check", "--set", "profiles.default.repetitions=3", "--set", "toys.epochs=5")
    assert code == 0, err
    assert "asks for 3 trials of toy" in out
    assert Path("params.yaml").read_bytes() == before


def test_the_trials_of_changed_settings_are_those_of_a_changed_file(world):
    changed = load(Path("params.yaml"), {"toys.epochs": 5, "profiles.default.proportions": [1]})
    world.params(toys={"epochs": 5}, default={"proportions": [1]})
    assert load(Path("params.yaml")).resolved() == changed.resolved()


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        ("toys.epoch=3", ["toys.epoch: unknown key (did you mean epochs?)"]),
        ("colour=red", ["colour: unknown key"]),
        ("data.imags=3", ["data.imags: unknown key (did you mean images?)"]),
        ("dataset=mnits", ["dataset = 'mnits'", "unknown dataset"]),
        ("toys.epochs=many", ["toys.epochs = 'many'"]),
    ],
)
def test_a_mistake_names_the_file_and_the_option(world, main, change, messages):
    code, out, err = main("check", "--set", change)
    assert (code, out) == (2, "")
    for message in [f"error: params.yaml with --set {change.partition('=')[0]}: ", *messages]:
        assert message in err


def test_a_password_in_a_changed_value_is_not_shown(world, main):
    _, _, err = main("check", "--set", "search.storage=postgresql://me:secret@host/db", "--set", "search.trials=0")
    assert "--set search.storage" in err
    assert "secret" not in err


@pytest.mark.parametrize("changes", [{}, {"toys.epochs": 5, "vae.learning_rate": 1e-05, "compute.workers": None}])
def test_the_text_of_settings_is_read_as_the_same_settings(world, changes):
    config = load(Path("params.yaml"), changes)
    Path("copy.yaml").write_text(config.text())
    copy = load(Path("copy.yaml"))
    assert copy.params.model_dump() == config.params.model_dump()
    assert copy.resolved() == config.resolved()
