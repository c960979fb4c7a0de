"""Every mistake in params.yaml is named in one message, before anything starts."""

from pathlib import Path

import pytest

from data.errors import UserError
from experiments.settings.config import load
from experiments.trials.grid import cells

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({"colour": "red"}, ["colour: unknown key", "dataset", "profiles"]),
        ({"dataset": "mnits"}, ["dataset = 'mnits'", "unknown dataset", "mnist, mnist-5k"]),
        ({"profile": "papers"}, ["profile = 'papers'", "known are default"]),
        ({"default": {"sytems": ["toy"]}}, ["profiles.default.sytems: unknown key", "did you mean systems?"]),
        ({"default": {"systems": ["toy", "bsvn"]}}, ["profiles.default.systems[1] = 'bsvn'", "alexnet, bsvm"]),
        ({"default": {"proportions": [0.1, 0]}}, ["profiles.default.proportions[1] = 0", "above 0 and at most 1"]),
        ({"default": {"proportions": [1.5]}}, ["profiles.default.proportions[0] = 1.5", "at most 1"]),
        ({"default": {"proportions": ["half"]}}, ["profiles.default.proportions[0] = 'half'", "a number"]),
        ({"default": {"xi": [-1]}}, ["profiles.default.xi[0] = -1", "auto or a number, 0 or more"]),
        ({"default": {"xi": [float("nan")]}}, ["profiles.default.xi[0] = nan"]),
        ({"default": {"repetitions": 0}}, ["profiles.default.repetitions = 0", "greater than or equal to 1"]),
        ({"default": {"repetitions": "2"}}, ["profiles.default.repetitions = '2'", "integer"]),
        ({"default": {"repetitions": 1.5}}, ["profiles.default.repetitions = 1.5", "integer"]),
        ({"default": {"systems": []}}, ["profiles.default.systems = []", "at least 1"]),
        ({"default": {"xi_study": {"systems": ["toy"]}}}, ["profiles.default.xi_study.xi: is missing"]),
        ({"compute": {"epoch_seconds": 0}}, ["compute.epoch_seconds = 0", "a number of seconds above 0"]),
        ({"compute": {"gpus_per_trial": 1.5}}, ["compute.gpus_per_trial = 1.5", "whole number"]),
        ({"compute": {"workers": 0}}, ["compute.workers = 0"]),
        ({"compute": {"cpus_per_trial": 4096}}, []),  # impossible on this machine, not in itself
        ({"toys": {"epochs": "many"}}, ["toys.epochs = 'many'", "integer"]),
        ({"toys": {"epochs": 0}}, ["toys.epochs = 0"]),
        ({"toys": {"epoch": 3}}, ["toys.epoch: unknown key", "did you mean epochs?"]),
        ({"systems": {"toy": {"epochs": -1}}}, ["systems.toy.epochs = -1"]),
        ({"systems": {"resnet": {}}}, ["systems.resnet: unknown system", "googlenet"]),
        ({"toys": 3}, ["toys = 3", "dictionary"]),
    ],
)
def test_a_mistake_is_named_with_its_path_value_and_remedy(world, main, changes, messages):
    world.params(**changes)
    code, out, err = main("check")
    if not messages:
        assert code == 0
        return
    assert (code, out) == (2, "")
    assert err.startswith("error: params.yaml")
    assert "Traceback" not in err
    for message in messages:
        assert message in err
    assert not world.store.exists()


@pytest.mark.parametrize("left", ["", "\nvae: {}\n"])
def test_a_section_that_is_missing_is_named_itself(tmp_path, left):
    shipped = (ROOT / "params.yaml").read_text()
    head, tail = shipped.index("\nvae:"), shipped.index("\ncaptions:")
    (tmp_path / "params.yaml").write_text(shipped[:head] + left + shipped[tail:])
    with pytest.raises(UserError, match=r"params\.yaml: vae: is missing: the section of settings that systems share$"):
        load(tmp_path / "params.yaml")


def test_all_mistakes_are_named_at_once(world, main):
    world.params(dataset="mnits", default={"repetitions": 0, "xi": [-1]})
    _, _, err = main("check")
    assert "3 mistakes" in err
    assert err.count("\n  ") == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("dataset: [mnist", "is not YAML"),
        ("dataset: a\ndataset: b\n", "is not YAML"),
        ("- a\n- b\n", "is not a mapping"),
        ("", "is not a mapping"),
        ("\x00", "is not YAML"),
    ],
)
def test_a_file_that_is_no_mapping(world, main, text, message):
    Path("params.yaml").write_text(text)
    code, _, err = main("check")
    assert code == 2
    assert message in err


def test_a_file_that_is_not_there(world, main):
    code, _, err = main("check", "--params", "nowhere.yaml")
    assert code == 2
    assert "nowhere.yaml does not exist" in err


def test_an_unknown_estimator_is_refused_with_the_known_ones(world, main):
    text = (ROOT / "params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("estimator: exact", "estimator: reinforce"))
    code, _, err = main("check")
    assert code == 2
    assert "systems.bsvm: unknown estimator 'reinforce': known are exact, gumbel, nvil, rloo" in err


def test_a_gpu_that_is_not_there_is_refused_before_any_work(world, main, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    world.params(compute={"gpus_per_trial": 0.5})
    code, _, err = main("run")
    assert code == 2
    assert "compute.gpus_per_trial = 0.5" in err
    assert not world.store.exists()


def test_more_repetitions_than_splits_is_refused_with_the_command(world, main):
    world.params(default={"repetitions": 9})
    code, _, err = main("plan")
    assert code == 2
    assert "asks for 9 repetitions" in err
    assert "python -m data split mnist-5k --repetitions 9" in err


def test_missing_data_is_refused_with_the_command(world, main):
    Path("data").unlink()
    code, _, err = main("run")
    assert code == 2
    assert "python -m data" in err


def test_a_later_section_wins_over_the_shared_one(world):
    world.params(toys={"epochs": 3, "learning_rate": 0.01}, systems={"toy": {"epochs": 5}})
    settings = load(Path("params.yaml")).settings["toy"]
    assert (settings.epochs, settings.learning_rate) == (5, 0.01)


def test_the_grid_has_each_cell_once(world):
    world.params(
        default={
            "systems": ["toy", "toy-bounded"],
            "proportions": [0.1, 1],
            "xi": ["auto", 1],
            "repetitions": 2,
            "xi_study": {"systems": ["toy-bounded", "toy"], "proportions": [0.1], "xi": [0, 1, 10.0]},
        }
    )
    found = list(cells(load(Path("params.yaml"))))
    assert len(found) == len(set(found))
    without = {(p, xi) for system, p, xi, _ in found if system == "toy"}
    assert without == {(0.1, None), (1.0, None)}
    bounded = {(p, xi) for system, p, xi, _ in found if system == "toy-bounded"}
    assert bounded == {(0.1, "auto"), (0.1, 1.0), (1.0, "auto"), (1.0, 1.0), (0.1, 0.0), (0.1, 10.0)}
    assert {seed for *_, seed in found} == {0, 1}


def test_numbers_are_read_as_dvc_reads_them(world):
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("0.1", "1e-1"))
    assert load(Path("params.yaml")).profile.proportions == [0.1]


def test_the_settings_that_ship_are_in_order(main, monkeypatch):
    monkeypatch.chdir(ROOT)
    code, out, err = main("check")
    assert code == 0, err
    assert "in order" in out


def test_a_system_leaves_out_what_others_alone_have_in_a_shared_section():
    config = load(ROOT / "params.yaml")
    assert config.params.shared("supervised")["width"] == config.settings["alexnet"].width
    assert "width" not in type(config.settings["cnn"]).model_fields
    assert "width" not in config.spaces["cnn"]
    assert "dropout" in config.spaces["alexnet"]
    assert "dropout" not in config.spaces["cnn"]
    with pytest.raises(UserError, match=r"supervised\.widht: unknown key \(did you mean width\?\)"):
        load(ROOT / "params.yaml", {"supervised.widht": 0.5})


def test_a_system_may_take_the_settings_of_another():
    config = load(ROOT / "params.yaml", {"systems.bsvm.gamma": 3.25, "systems.encoder.gamma": 2.0})
    assert config.settings["ablation"] == config.settings["bsvm"]
    assert config.settings["ablation"].gamma == 3.25
    assert config.settings["encoder"].gamma == 2.0
    assert "ablation" not in config.spaces
    with pytest.raises(UserError, match=r"systems\.ablation: has no settings of its own, it takes those of bsvm"):
        load(ROOT / "params.yaml", {"systems.ablation": {"gamma": 1.0}})


def test_a_profile_may_change_settings_of_its_systems(world):
    own = {"systems": ["toy", "toy-bounded"], "settings": {"toy": {"epochs": 7}}}
    world.params(default={**own}, toys={"epochs": 3, "learning_rate": 0.01}, systems={"toy": {"learning_rate": 0.5}})
    settings = load(Path("params.yaml")).settings
    assert (settings["toy"].epochs, settings["toy"].learning_rate) == (7, 0.5)
    assert settings["toy-bounded"].epochs == 3


def test_the_settings_of_a_profile_count_in_that_profile_alone():
    default = load(ROOT / "params.yaml", {"systems.bsvm.updates": 900})
    quick = load(ROOT / "params.yaml", {"systems.bsvm.updates": 900, "profile": "quick"})
    assert (default.settings["bsvm"].updates, quick.settings["bsvm"].updates) == (900, 150)
    assert quick.settings["ablation"] == quick.settings["bsvm"]
    assert quick.resolved()["settings"]["bsvm"]["updates"] == 150
    assert quick.settings["bsvm"].gamma == default.settings["bsvm"].gamma


@pytest.mark.parametrize(
    ("profile", "changed", "message"),
    [
        ("default", {"bsvm": {"gama": 1.0}}, r"profiles\.default\.settings\.bsvm\.gama: unknown key"),
        ("paper", {"bsvm": {"gamma": -1.0}}, r"profiles\.paper\.settings\.bsvm\.gamma = -1\.0: should be greater"),
        ("paper", {"m2": {"draws": 1}}, r"profiles\.paper.*: has settings of m2, which none of its systems takes"),
        ("paper", {"resnet": {}}, r"profiles\.paper\.settings.*unknown system"),
        ("published", {"ablation": {"gamma": 1.0}}, r"profiles\.published\.settings\.ablation: has no settings of its"),
    ],
)
def test_wrong_settings_of_any_profile_are_named(profile, changed, message):
    with pytest.raises(UserError, match=message):
        load(ROOT / "params.yaml", {f"profiles.{profile}.settings": changed})
