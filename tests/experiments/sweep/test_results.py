"""Stored results that do not hold: never in a table, always told, and run again."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from experiments.learning.device import set_up
from experiments.settings.config import load
from experiments.sweep import results
from experiments.sweep import run as sweep
from experiments.sweep.cost import Costs
from experiments.sweep.overview import result_faults
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout
from experiments.trials.grid import trials
from experiments.trials.run import run_trial
from tests.experiments.stored import caption_result
from tests.experiments.sweeping import TIMINGS, table, timeless


def run_all(wanted, store):
    for trial in wanted:
        run_trial(trial, Layout(), store.folder(trial.identity), set_up(1, False), lambda row: None)


@pytest.fixture
def done(world):
    """Three done trials and their store."""
    world.params(default={"repetitions": 3}, toys={"epochs": 1})
    wanted, store = trials(load(Path("params.yaml")), Layout()), TrialStore(Layout().store)
    run_all(wanted, store)
    return wanted, store


def spoil(folder, **changes):
    path = folder.path / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_row_has_the_threads_that_computed_the_trial(done):
    wanted, store = done
    assert results.COLUMNS.index("threads") == results.COLUMNS.index("device") + 1
    assert results.row(wanted[0], store, {})["threads"] == "1"
    spoil(store.folder(wanted[0].identity), threads=[1, 4])
    assert results.row(wanted[0], store, {})["threads"] == "1, then 4"
    spoil(store.folder(wanted[0].identity), threads=None)
    assert results.row(wanted[0], store, {})["threads"] == ""


@pytest.mark.parametrize("change", [{"top1": 400.0}, {"seconds": "long"}, {"averaging": 5}, {"elbo": float("nan")}])
def test_what_does_not_hold_reaches_no_table(done, cpu, change):
    wanted, store = done
    spoil(store.folder(wanted[0].identity), **change)
    assert results.row(wanted[0], store, {})["status"] == "missing"
    assert [line["status"] for line in (results.row(trial, store, {}) for trial in wanted[1:])] == ["done"] * 2
    assert list(results.averaging_rows(wanted, store)) == list(results.subset_rows(wanted, store)) == []
    costs = Costs(wanted, store, Layout(), cpu, budget=0.01, each_proportion=True)
    others = [store.folder(trial.identity).result()["seconds"] for trial in wanted[1:]]
    assert costs.seconds(wanted[0]) == pytest.approx(sum(others) / 2)


def test_a_copied_result_is_told_by_status_and_plan(done, main):
    wanted, store = done
    first, second = (store.folder(trial.identity) for trial in wanted[:2])
    shutil.copy(first.path / "result.json", second.path / "result.json")
    (line,) = result_faults(wanted, store)
    assert line.startswith(f"{second.path}/result.json: identity = '{wanted[0].identity}': it is the result of that")
    for command in ("status", "plan"):
        code, out, _ = main(command)
        assert (code, out.count(line)) == (0, 1)  # whole, however narrow the terminal is
    assert "2 reused, 1 to run" in out
    assert (second.path / "result.json").exists()  # both only tell


def snapshot(root):
    """Returns what is in a folder, and when each file and folder was last changed."""
    return {path: path.stat().st_mtime_ns for path in [root, *root.rglob("*")]}


def test_looking_at_a_store_writes_nothing(done, main):
    """So both work on a disk that is mounted for reading alone."""
    wanted, store = done
    spoil(store.folder(wanted[0].identity), top1=400.0)
    before = snapshot(store.root)
    assert main("status")[0] == main("log", wanted[0].identity)[0] == main("log", wanted[1].identity)[0] == 0
    assert snapshot(store.root) == before


def test_status_of_a_place_that_is_no_store_is_one_line(world, main, tmp_path):
    (tmp_path / "pictures").mkdir()
    for place in ("pictures", "none", "params.yaml"):
        code, out, err = main("status", "--store", place)
        assert (code, out) == (2, "")
        assert err.startswith(f"error: {place} is no trial store: ")
        assert err.count("\n") == 1
    code, out, _ = main("status")
    assert code == 0
    assert "`python -m experiments run` runs what is not done" in out


def test_a_sweep_runs_what_does_not_hold_again(done, world, main, monkeypatch):
    """With Ray and MLflow left out: the trials are run in this process."""
    wanted, store = done
    notes = []

    def in_process(ordered, store, layout, resources, limits, progress, tracker, live):
        run_all(ordered, store)
        for trial in ordered:
            progress.begin(trial.identity, 1)
            progress.end(trial.identity, None)

    monkeypatch.setattr(sweep, "dispatch", in_process)
    monkeypatch.setattr(sweep, "Tracker", lambda *given: SimpleNamespace(runs={}, trouble="", close=lambda: None))
    monkeypatch.setattr(sweep, "check_tracking", lambda uri: None)
    monkeypatch.setattr(sweep.Live, "note", lambda live, text: notes.append(text))
    assert main("run")[0] == 0
    before = timeless(world.results)
    assert list(pd.read_csv(Layout.predictions))[3:] == [trial.identity for trial in wanted]
    bad = store.folder(wanted[1].identity)
    spoil(bad, top1=400.0)
    code, out, _ = main("run")
    assert code == 0
    assert "\n".join(notes).count(f"{bad.path}/result.json: top1 = 400.0: ") == 1
    assert "(2 of them before)" in out
    assert timeless(world.results) == before
    assert json.loads((bad.path / "result.json.set-aside-1").read_text())["top1"] == 400.0
    assert {line["threads"] for line in table(world.results)} == {"1"}
    assert "threads" not in TIMINGS


CAPTION = {"subset": "same", "text": "a dog", "log_likelihood": -3.5, "words": 3}


def test_captions_that_do_not_hold_are_left_out_and_told(tmp_path):
    store = TrialStore(tmp_path / "store")
    speaking = []
    for number, images in enumerate([[0, 1], [0, 1], [1, 0], [0, 7], ["x"], []]):
        trial = SimpleNamespace(identity=f"{number:016x}", system=str(number), proportion=0.1, xi="auto", order=number)
        folder = store.folder(trial.identity)
        folder.begin({})
        folder.save_captions([{**CAPTION, "image": image} for image in images])
        folder.finish(caption_result())
        speaking.append(trial)
    images = SimpleNamespace(images=np.zeros((2, 4, 4, 3), np.uint8), captions=[["A dog."]] * 2)
    (tmp_path / "gallery").mkdir()
    left_out = results.write_captions(tmp_path / "gallery", speaking, store, images)
    content = json.loads((tmp_path / "gallery/captions.json").read_text())
    assert [[said["system"] for said in image["said"]] for image in content["images"]] == [["0", "1"]] * 2
    assert sorted(line.partition(":")[0].removeprefix(f"{store}/")[:16] for line in left_out) == [
        f"{number:016x}" for number in (2, 3, 4)
    ]
