"""Studies: registry, identities of cells, and the study of estimators from end to end."""

import csv
import json
import signal
import time
from dataclasses import replace
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from data.errors import UserError
from experiments.learning import contract
from experiments.settings.config import load
from experiments.studies import estimators
from experiments.studies.contract import STUDIES, Effort
from experiments.studies.run import measured_rows
from experiments.trial_store.layout import Layout
from tests.experiments.learning.test_variational import settings_of, task_of

SHIPPED = YAML(typ="safe").load(Path(__file__).parents[3] / "params.yaml")
SMALL = {"batch": 50, "labelled_batch": 4, "switch_hidden": 2, "code_hidden": 2, "draws": 1}
EFFORT = Effort(seconds=0.5, repetitions=1, gradients=2)
SERVED = {
    *(("factorised", name) for name in ("exact", "gumbel", "nvil", "rloo")),
    *(("shared", name) for name in ("gumbel", "nvil", "rloo")),
}


@pytest.fixture
def small(world):
    """A world whose params.yaml has the paper's model, small."""
    world.params(vae={**SHIPPED["vae"], **SMALL}, systems={"bsvm": {"gamma": 1.0}})
    return world


def cells(effort=EFFORT):
    return STUDIES.get("estimators").cells(load(Path("params.yaml")), Layout(), effort)


def test_an_unknown_study_is_told(small, main):
    code, _, err = main("study", "estimator")
    assert code == 2
    assert "unknown study 'estimator': known are estimators" in err
    assert not small.store.exists()


def test_a_name_taken_twice():
    with pytest.raises(ValueError, match="two studies are named 'estimators'"):
        STUDIES.add("estimators", STUDIES.get("estimators"))


def test_more_repetitions_than_splits_are_refused(small):
    with pytest.raises(UserError, match=r"--repetitions 9: .* has 3: run `python -m data split mnist-5k"):
        cells(replace(EFFORT, repetitions=9))


def test_settings_without_the_system_are_refused(world):
    with pytest.raises(UserError, match="no settings for 'bsvm'"):
        cells()


def test_cells_cover_every_estimator_that_serves_a_reading(small):
    found = cells(replace(EFFORT, repetitions=2))
    training = [cell.asks for cell in found if cell.table == "estimators-training"]
    assert {(asks["reading"], asks["estimator"]) for asks in training} == SERVED
    assert len(training) == 2 * len(SERVED)
    assert len({cell.identity for cell in found}) == len(found) == 2 * len(SERVED) + 4


def test_identity_follows_settings_and_effort(small):
    before = {cell.identity for cell in cells()}
    assert {replace(cell, expected=1e6).identity for cell in cells()} == before
    longer = {cell.identity for cell in cells(replace(EFFORT, seconds=0.6))}
    assert len(longer & before) == 4, "gradients know no training time"
    small.params(vae={**SHIPPED["vae"], **SMALL, "learning_rate": 0.004}, systems={"bsvm": {"gamma": 1.0}})
    assert not {cell.identity for cell in cells()} & before


def test_steps_that_fit(monkeypatch):
    """A clock that each step moves by a tenth of a second, and the first three by five."""
    clock, learner = [0.0], contract.SYSTEMS.get("bsvm").learner(task_of(), settings_of("bsvm"))

    def epoch(number):
        for step in range(2):
            clock[0] += 5.0 if 2 * number + step < 3 else 0.1
            yield {}

    learner.epoch = epoch
    monkeypatch.setattr(estimators, "now", lambda device: clock[0])
    assert estimators.steps_that_fit(learner, 40.0) == 400
    assert estimators.steps_that_fit(learner, 0.01) == 1


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"rows": 5}', '{"rows": [5]}', "[" * 100_000])
def test_a_measurement_that_is_damaged_counts_as_absent(tmp_path, content):
    (tmp_path / "cell.json").write_text(content)
    assert measured_rows(tmp_path / "cell.json") is None
    (tmp_path / "cell.json").write_text('{"rows": [{"draws": 1}]}')
    assert measured_rows(tmp_path / "cell.json") == [{"draws": 1}]


def table(folder, name):
    with (folder / f"experiments/evidence/{name}.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.slow
def test_a_stopped_study_goes_on_and_writes_its_tables(small):
    effort = ["--seconds", "0.5", "--repetitions", "1", "--gradients", "2"]
    process = small.start("study", "estimators", *effort)
    kept = small.store / "studies/estimators"
    deadline = time.monotonic() + 120
    while not list(kept.glob("*.json")):
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "the same command goes on" in out
    assert "Traceback" not in err
    assert not (small.folder / "experiments/evidence").exists()
    done = {path: path.stat().st_mtime_ns for path in kept.glob("*.json")}

    _, err = small.run("study", "estimators", *effort)
    assert f"11 cells: {len(done)} reused" in err
    assert all(path.stat().st_mtime_ns == when for path, when in done.items())
    study = STUDIES.get("estimators")
    for name, columns in study.tables.items():
        assert tuple(table(small.folder, name)[0]) == columns
    gradient = table(small.folder, "estimators-gradient")
    assert {(row["reading"], row["estimator"]) for row in gradient} == SERVED
    assert len(gradient) == 2 * len(SERVED)
    assert {row["draws"] for row in gradient if row["estimator"] == "rloo"} == {"4"}
    training = table(small.folder, "estimators-training")
    assert [(row["reading"], row["estimator"]) for row in training] == sorted(SERVED)
    assert all(float(row["seconds"]) > 0 for row in training)

    text = (small.folder / "experiments/evidence/estimators-training.csv").read_text()
    assert "11 reused, 0 to measure" in small.run("study", "estimators", *effort)[1]
    assert (small.folder / "experiments/evidence/estimators-training.csv").read_text() == text
    assert all(json.loads(path.read_text())["rows"] for path in kept.glob("*.json"))


@pytest.mark.slow
def test_a_failing_cell_is_told(small):
    """An architecture for other images is found out by the worker."""
    small.params(vae={**SHIPPED["vae"], **SMALL, "architecture": "cifar-10"}, systems={"bsvm": {"gamma": 1.0}})
    _, err = small.run("study", "estimators", code=2)
    assert "failed: UserError: vae.architecture 'cifar-10' takes images of 32×32×3" in err
    assert "what was measured before is kept" in err
    assert "Traceback" not in err
