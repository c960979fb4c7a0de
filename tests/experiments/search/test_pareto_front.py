"""Accuracy against cost: the front, its knee, the counted operations, and which settings halving spares."""

import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pytest

from data.errors import UserError
from experiments.search import evidence
from experiments.search.driver import Halving
from experiments.search.optuna_study import Study
from experiments.search.pareto_front import front, knee
from experiments.search.protocol import Protocol, Setting
from experiments.search.storage import sqlite
from experiments.search.worker import ASSIGNMENT, DONE_CELLS, OPERATIONS, SCORE
from experiments.settings.config import load
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout
from experiments.trials.grid import make_trials
from experiments.trials.run import run_trial
from reports.inputs.search import read_searches
from tests.experiments.searching import ask_for, read_evidence

SPACE = {"toy": {"learning_rate": {"low": 1e-6, "high": 0.1, "log": True}, "epochs": {"low": 1, "high": 9}}}


@pytest.fixture
def protocol(world):
    ask_for(world, SPACE, trials=12, objectives=["cost", "accuracy"])
    return Protocol(load(world.folder / "params.yaml"), Layout(), "toy")


def settings_of(points):
    return [
        Setting(number, {"epochs": number}, "complete", (score,), operations=(cost,))
        for number, (score, cost) in enumerate(points)
    ]


def test_a_front_is_what_brute_force_and_optuna_find():
    points = np.random.default_rng(0).integers(0, 12, (60, 2)).astype(float).tolist()
    settings = settings_of(points)
    by_force = {
        number
        for number, (score, cost) in enumerate(points)
        if all(s < score or c > cost or (s, c) == (score, cost) for s, c in points)
    }
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.add_trials([optuna.trial.create_trial(values=point) for point in points])
    optunas = {trial.number for trial in study.best_trials}
    edge = front([*settings, Setting(60, {}, "pruned", (99.0,), operations=(0.0,)), Setting(61, {}, "failed")])
    assert {setting.number for setting in edge} == by_force == optunas
    assert 1 < len(edge) < 60
    for cheap, dear in itertools.pairwise(edge):
        assert (cheap.cost, cheap.score) <= (dear.cost, dear.score)


def test_a_knee_is_farthest_above_the_line_between_the_ends():
    points = [(50.0, 10.0), (88.0, 20.0), (89.0, 40.0), (90.0, 110.0)]
    ends = np.array([points[0], points[-1]])
    along = (ends[1] - ends[0]) / (scale := np.abs(ends[1] - ends[0]))
    distances = [np.linalg.det([along, (np.array(point) - ends[0]) / scale]) for point in points]
    assert knee(settings_of(points)).number == int(np.argmax(np.abs(distances))) == 1
    assert knee(settings_of([(50.0, 10.0), (70.0, 60.0), (90.0, 110.0)])) is None  # on the line
    assert knee(settings_of(points[:2])) is None


def test_operations_are_those_of_the_products(world, cpu):
    """A linear map of n pixels to 10 classes: 2·10·n forwards, as many for its weights' gradient, an image."""
    config = load(world.folder / "params.yaml")
    store = TrialStore(Path("counted"))
    for trial in make_trials(config, Layout(), [("toy", 0.1, None, 0), ("toy", 0.5, None, 0)], {}):
        result = run_trial(trial, Layout(), store.folder(trial.identity), cpu, lambda row: None)
        assert result["operations"] == pytest.approx(4 * 10 * 784 * trial.labelled * result["epochs"], rel=1e-9)


def test_objectives_are_part_of_a_study_s_name_and_accuracy_alone_is_none(world, protocol):
    name = protocol.name
    ask_for(world, SPACE, trials=12)
    alone = Protocol(load(world.folder / "params.yaml"), Layout(), "toy").name
    ask_for(world, SPACE, trials=12, objectives=["accuracy"])
    assert Protocol(load(world.folder / "params.yaml"), Layout(), "toy").name == alone != name


def test_a_study_s_name_is_what_it_was(world):
    """Written down before there were other objectives: a name that changes loses all that was tried."""
    ask_for(world, SPACE, trials=12)
    assert Protocol(load(world.folder / "params.yaml"), Layout(), "toy").name == "toy-mnist-5k-5ee0e799e08a"


@pytest.mark.parametrize(
    ("objectives", "told"), [(["cost"], "must name accuracy"), (["accuracy", "accuracy"], "names one twice")]
)
def test_objectives_that_cannot_be_are_refused(world, objectives, told):
    ask_for(world, SPACE, objectives=objectives)
    with pytest.raises(UserError, match=f"search.objectives = .*{told}"):
        load(world.folder / "params.yaml")


def test_a_study_of_two_objectives_goes_on_with_the_draws_it_would_have_made(protocol, tmp_path):
    def draw(folder, anew):
        study, drawn = Study(protocol, sqlite(folder)), []
        for turn in range(12):
            study = Study(protocol, sqlite(folder)) if anew else study
            setting = study.ask()
            epochs = setting.params["epochs"]
            cells = 1 if turn in (3, 5, 9) else 4  # those are stopped early
            study.report(setting.number, [50 + np.sqrt(epochs)] * cells, 1.0, [1e9 * epochs] * cells)
            drawn.append(study.end(setting.number))
        return drawn

    whole = draw(tmp_path / "whole", anew=False)
    assert draw(tmp_path / "bits", anew=True) == whole
    assert [setting.state for setting in whole].count("pruned") == 3
    assert {setting.cost for setting in whole} == {1e9 * setting.params["epochs"] for setting in whole}


def test_tpe_is_content_where_nearly_all_were_stopped(protocol, tmp_path):
    """Settings stopped early have no values for it."""
    study = Study(protocol, sqlite(tmp_path))
    for turn in range(25):
        setting = study.ask()
        cells = 4 if turn == 0 else 1
        study.report(setting.number, [50.0] * cells, 1.0, [1e9] * cells)
        study.end(setting.number)
    assert [setting.state for setting in study.settings()] == ["complete"] + 24 * ["pruned"]


def test_halving_spares_what_nothing_dominates(protocol):
    """Judged after one pass over the proportions, two cells: accuracy alone would stop all but the first."""

    def decide(costs):
        halving, decisions = Halving(protocol, []), []
        for number, (score, cost) in enumerate(zip((90.0, 80.0, 70.0, 60.0), costs, strict=True)):
            trial = SimpleNamespace(trial_id=str(number), config={ASSIGNMENT: SimpleNamespace(keep=False)})
            halving.on_trial_add(None, trial)
            result = {DONE_CELLS: 2, SCORE: score, OPERATIONS: [cost, cost] if cost else []}
            decisions.append(halving.on_trial_result(None, trial, result))
        return decisions

    assert decide((None,) * 4) == ["CONTINUE", "STOP", "STOP", "STOP"]
    assert decide((9.0, 5.0, 7.0, 1.0)) == ["CONTINUE", "CONTINUE", "STOP", "CONTINUE"]
    assert decide((5.0, 5.0, 5.0, 5.0)) == ["CONTINUE", "STOP", "STOP", "STOP"]


def test_halving_knows_the_costs_of_an_earlier_run(protocol):
    before = [Setting(0, {}, "complete", (90.0,) * 4, operations=(5.0,) * 4)]
    halving = Halving(protocol, before)
    for name, cost, decision in (("dear", 6.0, "STOP"), ("cheap", 4.0, "CONTINUE")):
        trial = SimpleNamespace(trial_id=name, config={ASSIGNMENT: SimpleNamespace(keep=False)})
        halving.on_trial_add(None, trial)
        assert halving.on_trial_result(None, trial, {DONE_CELLS: 2, SCORE: 80.0, OPERATIONS: [cost] * 2}) == decision


def test_the_front_is_written_and_told(world, protocol):
    params = [{"learning_rate": 0.01, "epochs": epochs} for epochs in (2, 1, 4, 8, 9)]
    points = [(70.0, 2e9), (60.0, 1e9), (88.0, 4e9), (89.0, 8e9), (50.0, 9e9)]
    settings = [
        Setting(number, chosen, "complete", (score,) * 4, 1.0, operations=(cost,) * 4)
        for number, (chosen, (score, cost)) in enumerate(zip(params, points, strict=True))
    ]
    settings.append(Setting(5, params[0], "pruned", (10.0,), 1.0, operations=(1e8,)))
    evidence.write_evidence(protocol, settings)
    rows, told = read_evidence(world)
    assert [row["pareto"] for row in rows] == ["yes", "yes", "yes", "yes", "no", "no"]
    assert [float(row["operations"]) for row in rows] == [2e9, 1e9, 4e9, 8e9, 9e9, 1e8]
    assert told["front"] == [1, 0, 2, 3]
    assert told["objectives"] == ["accuracy", "cost"]
    report = read_searches(world.folder / "experiments/evidence/search/mnist-5k")["toy"]
    assert report.trials["score"].tolist() == [70.0, 60.0, 88.0, 89.0, 50.0, 10.0]
    lines = [line.strip() for line in evidence.advice(protocol, settings).splitlines() if "% at " in line]
    assert lines == [
        "setting 1: 60.00% at 1e+09: learning_rate 0.01, epochs 1",
        "setting 0: 70.00% at 2e+09: learning_rate 0.01, epochs 2",
        "setting 2 (knee): 88.00% at 4e+09: learning_rate 0.01, epochs 4",
        "setting 3 (best): 89.00% at 8e+09: learning_rate 0.01, epochs 8",
    ]
