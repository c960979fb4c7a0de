"""Warm starts: the best settings of earlier searches come first, tried anew, and say where they are from."""

import csv
import json

import pytest

from data.errors import UserError
from experiments.search import evidence
from experiments.search.optuna_study import Study
from experiments.search.protocol import Protocol
from experiments.search.storage import sqlite
from experiments.settings.config import load
from experiments.trial_store.layout import Layout
from tests.experiments.searching import ask_for, read_evidence

RATE = {"low": 1e-6, "high": 0.1, "log": True}


@pytest.fixture
def search(world, tmp_path):
    """A study of the toy with that space, in a file that all of them share."""

    def make(trials=6, warm_start=0, toys=None, **space):
        ask_for(world, {"toy": space}, trials=trials, warm_start=warm_start, toys=toys or {})
        protocol = Protocol(load(world.folder / "params.yaml"), Layout(), "toy")
        return Study(protocol, sqlite(tmp_path / "studies"))

    return make


def finish(study, score, stopped=()):
    """Tries what is left of a study; the score depends on a setting's values alone."""
    while study.left:
        setting = study.ask()
        cells = 2 if setting.number in stopped else 4
        study.report(setting.number, [score(setting.params)] * cells, 1.0)
        study.end(setting.number)
    return study.settings()


def ranked(settings, score):
    """Those that went through all cells, by brute force the best first."""
    return sorted(
        (setting for setting in settings if setting.state == "complete"),
        key=lambda setting: (-score(setting.params), setting.number),
    )


def by_rate(params):
    return 90 - 1000 * abs(params["learning_rate"] - 0.01)


def test_the_best_settings_of_another_space_come_first_within_the_new_one(search):
    old = search(trials=12, learning_rate=RATE, momentum={"low": 0.0, "high": 0.9})
    best = ranked(finish(old, by_rate, stopped=(3, 4)), by_rate)
    narrow = {"low": 1e-6, "high": sorted(setting.params["learning_rate"] for setting in best[:4])[2], "log": True}
    within = [setting.params["learning_rate"] for setting in best if setting.params["learning_rate"] <= narrow["high"]]
    assert len(within) < len(best)

    new = search(warm_start=3, learning_rate=narrow, epochs={"low": 1, "high": 9})
    settings = finish(new, by_rate)
    assert [setting.origin for setting in settings] == [
        "shipped",
        *3 * [f"warm start from {old.protocol.name}"],
        *2 * ["drawn"],
    ]
    shipped = new.protocol.shipped
    expected = [rate for rate in within if rate != shipped["learning_rate"]][:3]
    assert [setting.params for setting in settings[1:4]] == [{**shipped, "learning_rate": rate} for rate in expected]
    assert all(setting.state == "complete" and len(setting.cells) == 4 for setting in settings)  # tried anew


def test_a_warm_start_is_that_of_the_evidence_where_the_studies_are_gone(search, world):
    rates = {"choices": [1e-6, 1e-4, 0.01, 0.05]}
    old = search(learning_rate=rates, dampening={"choices": [None, 0.5]}, momentum={"low": 0.0, "high": 0.9})
    evidence.write_evidence(old.protocol, finish(old, by_rate))
    (world.folder / "studies/studies.db").unlink()
    with (world.folder / "experiments/evidence/search/mnist-5k/toy.csv").open(newline="") as stream:
        table = [row for row in csv.DictReader(stream) if row["state"] == "complete"]
    table.sort(key=lambda row: (-float(row["score"]), int(row["number"])))

    new = search(trials=20, warm_start=4, learning_rate=rates, dampening={"choices": [None, 0.5, 0.7]})
    expected = []
    for row in table:
        params = {
            "learning_rate": float(row["params_learning_rate"]),
            "dampening": float(row["params_dampening"]) if row["params_dampening"] else None,
        }
        if params not in (new.protocol.shipped, *expected):
            expected.append(params)
    settings = finish(new, by_rate)
    warm = [setting for setting in settings if setting.origin == f"warm start from {old.protocol.name}"]
    assert warm == settings[1 : 1 + len(warm)]
    assert [setting.params for setting in warm] == expected[:4]
    evidence.write_evidence(new.protocol, settings)
    rows, told = read_evidence(world)
    assert [row["origin"] for row in rows] == [setting.origin for setting in settings]
    assert told["study"] == new.protocol.name


def test_evidence_from_before_it_named_its_study_will_do(search, world):
    folder = world.folder / "experiments/evidence/search/mnist-5k"
    folder.mkdir(parents=True)
    (folder / "toy.json").write_text(json.dumps({"system": "toy", "dataset": "cifar-10"}))
    (folder / "toy.csv").write_text(
        "number,state,score,cells,seconds,params_learning_rate\n"
        "0,complete,70.0,4,1.0,0.002\n1,pruned,99.0,2,1.0,0.003\n2,complete,80.0,4,1.0,0.004\n3,complete,95.0,4,1.0,7.0\n"
    )
    first = search(warm_start=5, learning_rate=RATE).ask()
    study = search(warm_start=5, learning_rate=RATE)  # killed, and gone on with
    asked = [study.ask(), study.ask(), study.ask(), study.ask()]
    assert asked[0] == first
    assert [setting.params["learning_rate"] for setting in asked[:3]] == [1e-6, 0.004, 0.002]
    assert [setting.origin for setting in asked] == ["shipped", *2 * ["warm start from toy.csv"], "drawn"]
    (folder / "toy.csv").write_text("number,state\n0,complete\n")
    with pytest.raises(UserError, match=r"toy\.csv is not what a search wrote .*search\.warm_start to 0"):
        search(warm_start=1, toys={"momentum": 0.5}, learning_rate=RATE)


def test_studies_take_turns_and_those_of_other_systems_are_left_alone(search, tmp_path):
    first = search(trials=5, learning_rate=RATE)
    second = search(trials=5, toys={"momentum": 0.5}, learning_rate=RATE)
    tables = {}
    for study in (first, second):
        name = study.protocol.name
        tables[name] = [s.params for s in ranked(finish(study, by_rate), by_rate) if s.params != study.protocol.shipped]
    stranger = first.protocol
    stranger.name = f"toy-bounded-{stranger.name.removeprefix('toy-')}"
    finish(Study(stranger, sqlite(tmp_path / "studies")), by_rate)
    third = search(trials=9, warm_start=4, toys={"momentum": 0.7}, learning_rate=RATE)
    order = sorted(tables)
    expected = [(tables[name][rank], f"warm start from {name}") for rank in (0, 1) for name in order]
    asked = [third.ask() for _ in range(5)][1:]
    assert [(setting.params, setting.origin) for setting in asked] == expected


def test_a_warm_start_is_made_once_and_within_the_budget(search):
    finish(search(trials=6, learning_rate=RATE), by_rate)
    space = {"learning_rate": {"low": 1e-6, "high": 0.2, "log": True}}
    settings = finish(search(trials=3, warm_start=5, **space), by_rate)
    assert [setting.origin.split()[0] for setting in settings] == ["shipped", "warm", "warm"]
    again = search(trials=3, warm_start=5, **space)
    assert again.left == 0
    assert again.settings() == settings
    further = finish(search(trials=5, warm_start=5, **space), by_rate)
    assert [setting.origin.split()[0] for setting in further] == ["shipped", "warm", "warm", "drawn", "drawn"]


def test_a_search_without_a_warm_start_draws_what_it_always_did(search):
    finish(search(trials=6, learning_rate=RATE), by_rate)
    settings = finish(search(trials=4, learning_rate={"low": 1e-6, "high": 0.2, "log": True}), by_rate)
    assert [setting.origin for setting in settings] == ["shipped", "drawn", "drawn", "drawn"]
