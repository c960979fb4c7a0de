"""What tests of whole sweeps share: starting and watching processes, and checking that a sweep's record is complete."""

import csv
import re
import sqlite3
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path

from experiments.files import write_csv
from experiments.learning.device import set_up
from experiments.settings.config import load
from experiments.sweep.results import COLUMNS, row
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout
from experiments.trials.grid import trials
from experiments.trials.run import run_trial

TIMINGS = {"train_seconds", "images_per_second", "test_ms_per_image", "mlflow_run_id"}


def table(path):
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def timeless(path):
    return [{name: value for name, value in row.items() if name not in TIMINGS} for row in table(path)]


def results(world):
    """When each done trial's result was written, by identity."""
    return {path.parent.name: path.stat().st_mtime_ns for path in world.store.glob("*/result.json")}


def descendants(pid):
    """Returns the processes that descend from `pid`."""
    found = subprocess.run(["ps", "-eo", "pid,ppid"], capture_output=True, text=True, check=True).stdout
    parents = {int(child): int(parent) for child, parent in (line.split() for line in found.splitlines()[1:])}
    kin, grown = {pid}, True
    while grown:
        more = {child for child, parent in parents.items() if parent in kin} - kin
        kin, grown = kin | more, bool(more)
    return kin - {pid}


def wait_until_gone(pids, seconds=120):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not any(Path(f"/proc/{pid}").exists() for pid in pids):
            return
        time.sleep(0.2)
    raise AssertionError(f"still there: {[pid for pid in pids if Path(f'/proc/{pid}').exists()]}")


def wait_for(condition, seconds=240):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@contextmanager
def running(world):
    """Runs a sweep as a process that is killed at the end of the block."""
    driver = world.start("run")
    try:
        yield driver
    finally:
        driver.kill()
        driver.communicate()


def wait_for_results(world, driver, count):
    """Waits until `count` trials are done; the driver must be running until then."""
    wait_for(lambda: len(list(world.store.glob("*/result.json"))) >= count or driver.poll() is not None)
    assert driver.poll() is None, driver.communicate()


def idle(monkeypatch):
    """Makes toys that would be busy for a while skip that in this process, which changes no result."""
    import toy_systems

    monkeypatch.setattr(toy_systems, "work", lambda seconds: None)


def undisturbed(monkeypatch):
    """Returns the path of the table that this folder's trials make one after another, without Ray or MLflow."""
    idle(monkeypatch)
    cpu, store, rows = set_up(1, False), TrialStore(Path("undisturbed")), []
    for trial in trials(load(Path("params.yaml")), Layout()):
        run_trial(trial, Layout(), store.folder(trial.identity), cpu, lambda row: None)
        rows.append(row(trial, store, {}))
    write_csv(Path("undisturbed.csv"), COLUMNS, rows)
    return Path("undisturbed.csv")


def ended_before():
    """Runs this folder's trials in this process and logs them to MLflow, as a finished sweep does."""
    from experiments.tracking.mlflow_runs import Record, sync

    config, layout = load(Path("params.yaml")), Layout()
    wanted, store, cpu = trials(config, layout), TrialStore(layout.store), set_up(1, False)
    for trial in wanted:
        run_trial(trial, layout, store.folder(trial.identity), cpu, lambda row: None)
    # An absolute path: MLflow keeps stores open by their address, so tests would share a relative one.
    record = Record(f"sqlite:///{Path.cwd()}/mlflow.db", config.dataset, Path("mlartifacts"))
    sync(record, record.sweep(config.params.profile, config.resolved()), wanted, store)
    return wanted, store


def recorded(database):
    """Returns run, status and logged epochs of each identity in an MLflow database, which is read without MLflow.

    Asserts that no identity has two, and no run ended before it began.
    """
    with sqlite3.connect(database) as reader:
        runs = reader.execute(
            "SELECT tags.value, runs.run_uuid, status, start_time, end_time FROM runs JOIN tags USING (run_uuid) "
            "WHERE key = 'identity' AND lifecycle_stage = 'active'"
        ).fetchall()
        steps = reader.execute("SELECT run_uuid, step FROM metrics WHERE key = 'validation_accuracy'").fetchall()
        described = {name for (name,) in reader.execute("SELECT DISTINCT run_uuid FROM params")}
        tested = {name for (name,) in reader.execute("SELECT run_uuid FROM latest_metrics WHERE key = 'top1'")}
    reader.close()
    assert len({identity for identity, *_ in runs}) == len(runs)
    assert all(ended is None or began <= ended for *_, began, ended in runs)
    assert described == {run for _, run, *_ in runs}
    assert tested == {run for _, run, status, *_ in runs if status == "FINISHED"}
    return {
        identity: (run, status, sorted(step for name, step in steps if name == run))
        for identity, run, status, *_ in runs
    }


def parent_of(database):
    """Returns the status of the sweep's own run, and its counts of trials."""
    with sqlite3.connect(database) as reader:
        ((run, status),) = reader.execute(
            "SELECT run_uuid, status FROM runs JOIN tags USING (run_uuid) WHERE key = 'sweep'"
        )
        counts = dict(reader.execute("SELECT key, value FROM latest_metrics WHERE run_uuid = ?", [run]))
    reader.close()
    return status, counts


def assert_whole(world, expected, synced=False, curveless=()):
    """Asserts that every trial is done and exactly once in the store, in MLflow and in the table, which is as expected.

    Where `synced`, the trials were logged to MLflow after the table was written, which then has no names of runs. The
    trials in `curveless` may have lost rows in the store.
    """
    lines = {line["trial_id"]: line for line in table(world.results)}
    assert timeless(world.results) == timeless(expected)
    assert {line["status"] for line in lines.values()} == {"done"}
    epochs = {name: list(range(int(line["epochs"]))) for name, line in lines.items()}

    store = TrialStore(world.store)
    assert {path.name for path in store.root.iterdir() if re.fullmatch("[0-9a-f]{16}", path.name)} == lines.keys()
    assert not list(store.root.rglob(".*.partial"))
    for name in lines:
        folder = store.folder(name)
        assert folder.result()["identity"] == name
        assert (folder.failure(), folder.stuck.exists()) == (None, False)
        if name not in curveless:
            assert [row["epoch"] for row in folder.rows()] == epochs[name]

    database = world.folder / "mlflow.db"
    runs = recorded(database)
    assert {name: (status, steps) for name, (_, status, steps) in runs.items()} == {
        name: ("FINISHED", steps) for name, steps in epochs.items()
    }
    assert parent_of(database) == ("FINISHED", {"done": len(lines), "failed": 0, "missing": 0})
    if not synced:
        assert {name: line["mlflow_run_id"] for name, line in lines.items()} == {
            name: run for name, (run, *_) in runs.items()
        }
