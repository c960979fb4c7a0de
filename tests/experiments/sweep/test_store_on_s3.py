"""Sweeps with real processes whose trial store is on S3, where drivers stop and requests fail."""

import os
import shutil
import signal
import uuid
from pathlib import Path

import pytest

from experiments.files import write_csv
from experiments.learning.device import set_up
from experiments.settings.config import load
from experiments.sweep.results import COLUMNS, row
from experiments.tracking.mlflow_runs import Record, sync
from experiments.trial_store import lease as leases
from experiments.trial_store.holder import LEASE
from experiments.trial_store.layout import Layout
from experiments.trial_store.local_copies import copy_of
from experiments.trial_store.object_store import Objects
from experiments.trials.grid import trials
from experiments.trials.run import run_trial
from tests.bad_network import bad_network
from tests.experiments.conftest import World
from tests.experiments.sweeping import idle, parent_of, recorded, table, timeless, undisturbed, wait_for

TRIALS = 6


@pytest.fixture
def uri(bucket):
    made = f"s3://{bucket}/trials-{uuid.uuid4().hex}"  # no worker has a copy of it from an earlier test
    yield made
    shutil.rmtree(copy_of(made), ignore_errors=True)


@pytest.fixture
def machine(uri, tracked):
    """The folder of another machine with the same data and settings, the same MLflow and the same trial store on S3."""
    tracked.params(default={"proportions": [0.05, 0.1], "repetitions": 3}, toys={"epochs": 3, "busy": 0.3})
    made = World(tracked.folder / "machine")
    made.folder.mkdir()
    (made.folder / "data").symlink_to((tracked.folder / "data").resolve())
    shutil.copy(tracked.folder / "params.yaml", made.folder)
    mlflow = f"sqlite:///{tracked.folder}/mlflow.db"
    made.environment |= {"EXPERIMENTS_STORE": uri, "MLFLOW_TRACKING_URI": mlflow, "TOY_BEAT": "0.3"}
    return made


def results(uri):
    return {name for name in Objects(uri).names() if name.endswith("/result.json")}


def succeed(first, uri, monkeypatch):
    """Does as a second sweep in this process what the first one, which is stopped, has left, and wakes it then."""
    monkeypatch.setattr(leases, "BEAT", 0.3)
    idle(monkeypatch)
    config, layout, cpu = load(Path("params.yaml")), Layout.at("data", uri), set_up(1, False)
    wanted, store = trials(config, layout), layout.trial_store
    with store.locked():
        store.fetch([trial.identity for trial in wanted])
        record = Record(f"sqlite:///{Path.cwd()}/mlflow.db", config.dataset, Path("mlartifacts"))
        parent = record.sweep(config.params.profile, config.resolved())
        for trial in wanted:
            run_trial(trial, layout, store.folder(trial.identity), cpu, lambda row: None)
        sync(record, parent, wanted, store)
        before = contents(uri)
        os.kill(first.pid, signal.SIGCONT)
        out, err = first.communicate(timeout=120)
        assert first.returncode == 1, f"{out}\n{err}"
        assert contents(uri) == before
    write_csv(layout.results, COLUMNS, [row(trial, store, record.runs) for trial in wanted])
    return out, err


def contents(uri):
    """Returns the content of each object but the lease, which beats."""
    place = Objects(uri).place
    return {name: place.filesystem.cat_file(place.file(name)) for name in Objects(uri).names() if name != LEASE}


@pytest.mark.slow
def test_a_driver_that_is_stopped_too_long_gives_way_to_its_successor(machine, uri, monkeypatch):
    first = machine.start("run")
    try:
        wait_for(lambda: results(uri) or first.poll() is not None)
        assert first.poll() is None, first.communicate()
        os.kill(first.pid, signal.SIGSTOP)
        assert len(results(uri)) < TRIALS
        out, err = succeed(first, uri, monkeypatch)
    finally:
        first.kill()
        first.wait()
    (line,) = [line for line in err.splitlines() if "error" in line.lower()]
    assert line.startswith(f"error: another sweep has taken over {uri} while this one stood still: ")
    assert f"(process {os.getpid()}) has it now" in line
    assert "Traceback" not in err
    assert f"{TRIALS} done" not in out
    assert not machine.results.exists()
    assert_whole_beside(Path("experiments/results.csv"), monkeypatch)


def assert_whole_beside(results, monkeypatch):
    """Asserts that a table is that of an undisturbed sweep, and that MLflow has one whole run for each trial."""
    assert timeless(results) == timeless(undisturbed(monkeypatch))
    runs = recorded("mlflow.db")  # which asserts that no identity has two
    assert {(status, tuple(steps)) for _, status, steps in runs.values()} == {("FINISHED", (0, 1, 2))}
    named = {line["trial_id"]: line["mlflow_run_id"] for line in table(results)}
    assert {name: run for name, (run, *_) in runs.items()} == named
    assert parent_of("mlflow.db") == ("FINISHED", {"done": TRIALS, "failed": 0, "missing": 0})


@pytest.mark.slow
def test_a_sweep_on_a_bad_network_makes_the_table_of_a_good_one(machine, uri, server, monkeypatch):
    with bad_network(server, seed=2016) as proxy:
        machine.environment["AWS_ENDPOINT_URL"] = proxy.uri
        out, _ = machine.run("run")
    assert f"{TRIALS} done" in out
    assert proxy.faults.total() > 10
    assert_whole_beside(machine.results, monkeypatch)
    assert {name.partition("/")[2] for name in Objects(uri).names() if "/" in name} == {
        "config.json", "metrics.jsonl", "predictions.json", "result.json", "weights.pt",
    }  # fmt: skip
