"""Searches on a real Ray: known best settings are found, nothing is tried twice, the test part is never read."""

import hashlib
import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from data.verification import read_meta, write_meta
from experiments.search import evidence
from experiments.search.optuna_study import Study
from experiments.search.protocol import Protocol, Setting
from experiments.search.storage import sqlite
from experiments.settings.config import load
from experiments.trial_store.layout import Layout
from tests.experiments.searching import ask_for, read_evidence
from tests.experiments.sweeping import descendants, wait_for, wait_until_gone

NOWHERE = 990  # indices of test images that are not there; on their number depends too what a search draws
RATES = {"choices": [1e-6, 1e-5, 0.05]}


def results(world):
    """When each cell's result was written, by identity."""
    return {path.parent.name: path.stat().st_mtime_ns for path in world.store.glob("search/*/result.json")}


def searched_runs(world):
    client = MlflowClient(f"sqlite:///{world.folder}/mlflow.db")
    experiment = client.get_experiment_by_name("mnist-5k-search")
    runs = client.search_runs([experiment.experiment_id])
    parents = [run for run in runs if "sweep" in run.data.tags]
    return client, parents, {run.data.tags["setting"]: run for run in runs if "setting" in run.data.tags}


def forbid_the_test_part(world):
    """Images without those of the test part: whoever reads one of these is told so by an error."""
    data = world.folder / "data"
    whole = data.resolve()
    data.unlink()
    shutil.copytree(whole, data)
    images, splits = data / "processed/mnist-5k", data / "splits/mnist-5k"
    with np.load(splits / "parts.npz") as stored:
        parts = dict(stored)
    kept = np.sort(np.concatenate([parts["train"], parts["validation"]]))
    pixels, labels = np.load(images / "images-00000.npy")[kept], np.load(images / "labels.npy")[kept]
    np.save(images / "images-00000.npy", pixels)
    np.save(images / "labels.npy", labels)
    count, digest = len(kept), hashlib.sha256(pixels.tobytes() + labels.tobytes()).hexdigest()
    changed = {"shards": [count], "parts": {"train": count}, "digests": [digest], "fingerprint": digest}
    seal(images, changed)
    shifted = {part: np.searchsorted(kept, parts[part]) for part in ("train", "validation")}
    np.savez(splits / "parts.npz", **shifted, test=np.arange(count, count + NOWHERE))
    for path in splits.glob("order-*.npy"):
        np.save(path, np.searchsorted(kept, np.load(path)))
    seal(splits, {"data": digest, "test": NOWHERE})


def seal(folder, changed):
    """Writes meta.json anew, with changed values and the digests of the files as they are now."""
    meta = read_meta(folder)
    write_meta(folder, {**meta, **changed}, meta["files"])


@pytest.mark.slow
def test_the_best_setting_is_found_and_the_test_part_never_read(tracked):
    ask_for(tracked, {"toys": {"learning_rate": RATES}, "toy": {"momentum": {"low": 0.0, "high": 0.9}}}, trials=6)
    forbid_the_test_part(tracked)
    with pytest.raises(AssertionError, match="IndexError"):  # as the reported trials do
        tracked.run("trial", "--system", "toy", "--proportion", "0.1")
    out, err = tracked.run("search", "toy")
    assert "toy: 0 settings known, 6 to try on 4 cells each" in err
    assert "Traceback" not in err

    rows, told = read_evidence(tracked)
    columns = ["number", "state", "score", "cells", "seconds", "origin", "params_learning_rate", "params_momentum"]
    assert list(rows[0]) == columns
    assert [row["origin"] for row in rows] == ["shipped"] + 5 * ["drawn"]
    assert [row["number"] for row in rows] == [str(number) for number in range(6)]
    assert {row["state"] for row in rows} == {"complete", "pruned"}  # halving stops some, and never the shipped one
    for row in rows:
        assert int(row["cells"]) == {"complete": 4, "pruned": 2}[row["state"]]
        assert float(row["seconds"]) > 0
    assert (rows[0]["params_learning_rate"], rows[0]["params_momentum"], rows[0]["state"]) == (
        "1e-06",
        "0.9",
        "complete",
    )
    assert all(len(row["params_momentum"].rstrip("0").split(".")[-1]) <= 4 for row in rows)

    # Every score is what the store's own rows say: the mean over the cells of the last epoch's validation accuracy.
    config = load(Path("params.yaml"))
    protocol = Protocol(config, Layout(), "toy")
    for row in rows:
        params = {"learning_rate": float(row["params_learning_rate"]), "momentum": float(row["params_momentum"])}
        last = []
        for trial in protocol.trials(params)[: int(row["cells"])]:
            lines = (tracked.store / "search" / trial.identity / "metrics.jsonl").read_text().splitlines()
            last.append(json.loads(lines[-1])["validation_accuracy"])
        assert float(row["score"]) == pytest.approx(np.mean(last), abs=1e-4)
    assert {(t.proportion, t.seed) for t in protocol.trials({})} == {(0.1, 1), (0.5, 1), (0.1, 2), (0.5, 2)}

    complete = [row for row in rows if row["state"] == "complete"]
    top = max(complete, key=lambda row: float(row["score"]))
    assert told["best"]["number"] == int(top["number"])
    assert told["best"]["params"]["learning_rate"] == 0.05
    assert told["chosen"] == {"learning_rate": 1e-6, "momentum": 0.9}
    assert told["shipped_score"] == pytest.approx(float(rows[0]["score"]), abs=1e-4)
    assert told["space"] == {"learning_rate": "1e-06, 1e-05, 0.05", "momentum": "0 to 0.9"}
    assert (told["budget"], told["proportions"], told["repetitions"]) == (6, [0.1, 0.5], [1, 2])
    assert told["importances"] == {}
    assert "learning_rate: 0.05" in out
    assert "gain +" in out

    client, (parent,), children = searched_runs(tracked)
    assert parent.data.metrics["complete"] == len(complete)
    assert set(children) == {row["number"] for row in rows}
    for row in rows:
        run = children[row["number"]]
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["state"] == row["state"]
        assert run.data.params["learning_rate"] == row["params_learning_rate"]
        assert [metric.step for metric in client.get_metric_history(run.info.run_id, "cell")] == list(
            range(int(row["cells"]))
        )
        assert run.data.metrics["score"] == pytest.approx(float(row["score"]), abs=1e-4)

    # Taken over into params.yaml, the best setting is the shipped one: known, so nothing is run.
    before = results(tracked)
    ask_for(
        tracked,
        {"toys": {"learning_rate": RATES}, "toy": {"momentum": {"low": 0.0, "high": 0.9}}},
        trials=6,
        toys=told["best"]["params"],
    )
    out, err = tracked.run("search", "toy")
    assert "6 settings known, none to try" in err
    assert "nothing to change" in out
    assert results(tracked) == before
    _, again = read_evidence(tracked)
    assert again["chosen"] == again["best"]["params"] == told["best"]["params"]
    assert again["shipped_score"] == again["best"]["score"]
    assert len(searched_runs(tracked)[2]) == 6


@pytest.mark.slow
@pytest.mark.parametrize("blow", [signal.SIGKILL, signal.SIGINT])
def test_a_search_that_was_stopped_goes_on_and_runs_nothing_twice(tracked, blow):
    ask_for(tracked, {"toy": {"learning_rate": RATES}}, trials=4, proportions=(0.1,), toys={"busy": 0.3})
    driver = tracked.start("search", "--all")
    try:
        wait_for(lambda: len(results(tracked)) >= 3)
    finally:
        workers = descendants(driver.pid)
        driver.send_signal(blow)
        out, err = driver.communicate(timeout=60)
    if blow == signal.SIGINT:
        assert driver.returncode == 130, err
        assert "`python -m experiments search toy` goes on from here" in out
        assert "Traceback" not in err
    wait_until_gone(workers)
    done = results(tracked)
    assert not (tracked.folder / "experiments/evidence").exists()
    study = Study(Protocol(load(Path("params.yaml")), Layout(), "toy"), sqlite(tracked.store / "search"))
    left = [setting for setting in study.settings() if setting.state == "running"]
    assert left
    _, err = tracked.run("search", "--all")
    rows, _ = read_evidence(tracked)
    assert [row["number"] for row in rows] == ["0", "1", "2", "3"]  # those left half-way kept their numbers
    assert "running" not in {row["state"] for row in rows}
    for setting in left:
        assert float(rows[setting.number]["params_learning_rate"]) == setting.params["learning_rate"]
    assert {name: when for name, when in results(tracked).items() if name in done} == done
    client, (parent,), children = searched_runs(tracked)
    assert len(children) == 4
    for row in rows:
        run = children[row["number"]].info
        assert run.status == "FINISHED"
        assert len(client.get_metric_history(run.run_id, "cell")) == int(row["cells"])
        assert len(client.get_metric_history(run.run_id, "score")) == 1
    assert parent.info.status == "FINISHED"

    ask_for(tracked, {"toy": {"learning_rate": RATES}}, trials=5, proportions=(0.1,), toys={"busy": 0.3})
    _, err = tracked.run("search", "toy")
    assert "4 settings known, 1 to try" in err
    assert [row["number"] for row in read_evidence(tracked)[0]] == ["0", "1", "2", "3", "4"]


@pytest.mark.slow
def test_a_setting_that_fails_costs_the_others_nothing(tracked):
    """Its loss is huge, then infinite: SGD on a linear softmax diverges at this rate and momentum."""
    spaces = {"toy": {"learning_rate": {"choices": [1e-6, 1e38]}}}
    ask_for(tracked, spaces, trials=4, proportions=[0.1])
    out, _ = tracked.run("search", "toy")
    rows, told = read_evidence(tracked)
    failed = [row for row in rows if row["params_learning_rate"] == "1e+38"]
    assert failed
    assert len(failed) < len(rows) == 4
    for row in rows:
        assert (row["state"] == "failed", row["score"] == "") == ((True, True) if row in failed else (False, False))
    assert told["best"]["params"] == {"learning_rate": 1e-6}
    assert f"{len(failed)} failed" in out
    run = searched_runs(tracked)[2][failed[0]["number"]]
    assert (run.info.status, "not finite" in run.data.tags["reason"]) == ("FAILED", True)


@pytest.mark.parametrize(
    ("spaces", "told"),
    [
        ({"toys": {"learning_rat": RATES}}, "toys.learning_rat: system 'toy' has no such setting: it has "),
        ({"bsvm": {"gamma": RATES}}, "bsvm: neither a shared section nor a system with settings"),
        ({"toy": {"epochs": {"low": 1}}}, "toy.epochs = {'low': 1}: needs low and high, or choices"),
        ({"toy": {"epochs": {"low": 3, "high": 3}}}, "low must be below high"),
        ({"toy": {"epochs": {"low": 0, "high": 3}}}, "toy.epochs.low = 0: should be greater than or equal to 1"),
        ({"toy": {"epochs": {"low": 1, "high": 2.5}}}, "toy.epochs.high = 2.5: should be a valid integer"),
        ({"toy": {"epochs": {"low": "1", "high": 3}}}, "toy.epochs.low = '1': must be a number"),
        ({"toy": {"momentum": {"low": 0, "high": 0.9, "log": True}}}, "low must be above 0 where log is true"),
        ({"toy": {"momentum": {"low": 0, "high": 0.9, "lag": 1}}}, "toy.momentum.lag: unknown key"),
        ({"toy": {"momentum": {"choices": [0.5, 1.5]}}}, "toy.momentum.choices[1] = 1.5: should be less than 1"),
        ({"toy": {"momentum": {"choices": [0.9]}}}, "toy.momentum.choices = [0.9]: List should have at least 2"),
        ({"toy": {"momentum": {"choices": [0.9, 0.9]}}}, "names a choice twice"),
        ({"toy": {"momentum": {"choices": [0.9, 0.5], "low": 0}}}, "has choices, so neither low, high nor log"),
    ],
)  # fmt: skip
def test_a_space_that_cannot_be_is_refused(world, main, spaces, told):
    ask_for(world, spaces)
    code, _, err = main("check")
    assert code == 2
    assert err.startswith("error: params.yaml: search.spaces.")
    assert told in err
    assert "Traceback" not in err


def test_a_space_that_leaves_out_the_settings_in_use_concerns_a_search_alone(world, main):
    ask_for(world, {"toy": {"epochs": {"low": 3, "high": 9}}})
    assert main("check")[0] == 0
    code, _, err = main("search", "toy")
    assert code == 2
    assert "error: params.yaml: search.spaces.toy.epochs: leaves out 2, which toy uses" in err


def test_settings_are_not_found_on_what_is_reported(world, main):
    ask_for(world, default={"repetitions": 2})
    assert main("check")[0] == 0
    code, _, err = main("search", "toy")
    assert code == 2
    assert "profile 'default' reports repetition 1: settings must be found on others, from 2 on" in err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "name systems to find settings for, or all of them by --all: known are toy"),
        (["--all", "toy"], "name systems to find settings for, or all of them by --all: known are toy"),
        (["bsvm"], "system 'bsvm' has no space in search.spaces of params.yaml: known are toy"),
        (["toy", "--address", "http://head:8265"], "a search is not sent as a job: name the cluster's HOST:PORT"),
    ],
)
def test_a_search_of_nothing_or_nowhere_is_refused(world, main, arguments, told):
    ask_for(world)
    code, _, err = main("search", *arguments)
    assert (code, told in err) == (2, True), err


def test_a_repetition_that_is_not_on_disk_is_told_with_the_command(world, main):
    ask_for(world)
    text = Path("params.yaml").read_text()
    Path("params.yaml").write_text(text.replace("repetitions: [1, 2]", "repetitions: [1, 6]").replace("- 2\n", "- 6\n"))
    code, _, err = main("search", "toy")
    assert code == 2
    assert "python -m data split mnist-5k --repetitions 7" in err
    assert load(Path("params.yaml")).repetitions == 7


@pytest.fixture
def protocol(world):
    def make(**space):
        ask_for(world, {"toy": space or {"learning_rate": {"low": 1e-6, "high": 0.1, "log": True}}}, trials=20)
        return Protocol(load(Path("params.yaml")), Layout(), "toy")

    return make


def test_a_study_goes_on_with_the_draws_it_would_have_made(protocol, tmp_path):
    asked = protocol(learning_rate={"low": 1e-6, "high": 0.1, "log": True}, epochs={"low": 1, "high": 9})

    def draw(path, count, anew):
        study, drawn = Study(asked, sqlite(path)), []
        for _ in range(count):
            study = Study(asked, sqlite(path)) if anew else study
            setting = study.ask()
            drawn.append(setting.params)
            score = 50 + np.log10(setting.params["learning_rate"])
            for cells in range(1, 5):
                study.report(setting.number, [score] * cells, 1.0)
            study.end(setting.number)
        return drawn

    whole = draw(tmp_path / "whole", 14, anew=False)
    assert draw(tmp_path / "bits", 14, anew=True) == whole
    assert whole[0] == asked.shipped
    assert len({json.dumps(params) for params in whole}) == 14
    assert all(isinstance(params["epochs"], int) and 1 <= params["epochs"] <= 9 for params in whole)
    assert all(float(f"{params['learning_rate']:.3g}") == params["learning_rate"] for params in whole)


def test_another_space_or_protocol_is_another_study(protocol, world):
    first = protocol()
    assert protocol().name == first.name
    assert protocol(learning_rate={"low": 1e-6, "high": 0.2, "log": True}).name != first.name
    ask_for(world, {"toy": {"learning_rate": {"low": 1e-6, "high": 0.1, "log": True}}}, toys={"learning_rate": 0.05})
    assert Protocol(load(Path("params.yaml")), Layout(), "toy").name == first.name  # another start, the same question
    ask_for(world, {"toy": {"learning_rate": {"low": 1e-6, "high": 0.1, "log": True}}}, toys={"momentum": 0.5})
    assert Protocol(load(Path("params.yaml")), Layout(), "toy").name != first.name


def test_a_gain_is_that_of_paired_cells():
    base = Setting(0, {}, "complete", (70.0, 90.0, 72.0, 94.0))
    better = Setting(1, {}, "complete", (72.0, 91.0, 76.0, 95.0))
    found = evidence.gain(better, base)
    assert found.points == 2.0  # of 2, 1, 4, 1
    assert found.error == pytest.approx(np.std([2, 1, 4, 1], ddof=1) / 2)


def test_a_pruned_setting_is_never_the_best_one():
    pruned = Setting(0, {}, "pruned", (99.0,))
    complete = [Setting(number, {}, "complete", (score, score)) for number, score in ((1, 80.0), (2, 85.0), (3, 85.0))]
    assert evidence.best([pruned, *complete]).number == 2
    assert evidence.best([pruned, Setting(4, {}, "failed", (99.0, 99.0))]) is None


def test_what_moves_the_score_is_important(protocol):
    asked = protocol(momentum={"low": 0.0, "high": 0.9}, busy={"low": 0.0, "high": 1.0})
    rng = np.random.default_rng(0)
    settings = []
    for number, (momentum, busy) in enumerate(rng.random((20, 2)) * [0.9, 1]):
        cells = (90 - 30 * (momentum - 0.5) ** 2 + 0.05 * rng.normal(),) * 2  # one pass, which is all a pruned one has
        settings.append(Setting(number, {"momentum": momentum, "busy": busy}, "pruned", cells))
    found = evidence.importances(asked, settings)
    assert list(found) == ["momentum", "busy"]
    assert found["momentum"] > 0.8
    assert sum(found.values()) == pytest.approx(1)
    assert evidence.importances(asked, settings[:9]) == {}


def test_half_of_the_settings_are_expected_to_go_on(protocol):
    asked = protocol()
    assert asked.expected_cells() == [1, 1, 0.5, 0.5]
    asked.repetitions, asked._cells = [1, 2, 3, 4], asked._cells * 2
    assert asked.expected_cells() == [1, 1, 0.5, 0.5, 0.25, 0.25, 0.25, 0.25]
