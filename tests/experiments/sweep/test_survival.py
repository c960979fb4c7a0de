"""What a sweep survives, with real processes; docs/survival.md lists it all in one table.

After each disturbance every finished trial is exactly once in the store, in MLflow and in the table, and the table is,
but for timings, that of an undisturbed run.
"""

import json
import os
import re
import resource
import sqlite3
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from experiments.settings.config import load
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout
from experiments.trials import training as training_module
from experiments.trials.failures import reason_of_death
from experiments.trials.grid import trials
from experiments.trials.run import epochs
from experiments.trials.training import TrialFailed
from tests.experiments.mlflow_server import MlflowServer
from tests.experiments.sweeping import (
    assert_whole,
    ended_before,
    idle,
    parent_of,
    results,
    running,
    table,
    undisturbed,
    wait_for,
    wait_for_results,
)


def kill_server(driver, name):
    """Kills a server of the driver's Ray."""
    (process,) = (kin for kin in psutil.Process(driver.pid).children() if kin.name() == name)
    process.kill()


def works(driver):
    """Says whether a worker process of the driver's present Ray does something; those of a dead one are no kin."""
    return any(kin.name().startswith("ray::") for kin in psutil.Process(driver.pid).children(recursive=True))


@pytest.mark.slow
@pytest.mark.parametrize("server", ["raylet", "gcs_server"])
def test_ray_is_started_anew_where_a_server_of_it_dies(tracked, monkeypatch, server):
    tracked.params(default={"repetitions": 3}, toys={"epochs": 3, "busy": 0.6})
    with running(tracked) as driver:
        wait_for_results(tracked, driver, 1)
        kill_server(driver, server)
        out, err = driver.communicate(timeout=240)
    assert driver.returncode == 0, err
    assert f"Ray's {server} died" in err
    assert "Ray is started anew" in err
    assert "Traceback" not in out + err
    assert_whole(tracked, undisturbed(monkeypatch))


@pytest.mark.slow
def test_the_second_death_of_ray_ends_the_sweep_with_its_table_so_far(tracked):
    proportions = [0.05, 0.06, 0.07, 0.08, 0.09, 0.1]
    tracked.params(default={"repetitions": 3, "proportions": proportions}, toys={"epochs": 3, "busy": 1.0})
    with running(tracked) as driver:
        wait_for_results(tracked, driver, 1)
        kill_server(driver, "raylet")
        wait_for(lambda: works(driver))
        wait_for_results(tracked, driver, len(results(tracked)) + 1)
        kill_server(driver, "gcs_server")
        out, err = driver.communicate(timeout=240)
    assert driver.returncode == 1, err
    assert "error: Ray's gcs_server died" in err
    assert "what is done is kept" in err
    assert "Traceback" not in out + err
    statuses = [row["status"] for row in table(Path("experiments/results.csv"))]
    assert statuses.count("done") == len(results(tracked)) >= 2
    assert "missing" in statuses


def test_why_a_process_died():
    noted = "Failure # 1 (occurred at one time)\nRayTaskError: a\nFailure # 2 (occurred later)\n{}\n\tpid: 1\n{}\n"
    low = "1 worker(s) were killed due to the node running low on memory. Memory on the node was 6.8GB used / 7GB limit"
    reason = reason_of_death(noted.format(low, "OOM kill reason: Memory usage exceeded threshold"))
    assert reason.startswith("Ray ended its worker process again, since memory was short: let fewer trials run at once")
    assert reason.endswith(low)
    died = "The actor died unexpectedly before finishing this task."
    reason = reason_of_death(noted.format(died, "The actor is dead because its worker process has died."))
    assert "killed, perhaps for want of memory" in reason
    assert reason_of_death(noted.format(died, "its node has died")) == f"its worker process died again: {died}"


def test_a_lost_node_is_no_failure_of_its_trial(tmp_path):
    from experiments.sweep.observer import LOSSES, Observer
    from experiments.sweep.worker import ASSIGNMENT

    class Noted(list):
        note = list.append

    notes, waiting = Noted(), []
    progress = SimpleNamespace(ended=set(), wait=waiting.append)
    observer = Observer(None, progress, None, notes)
    errors = tmp_path / "error.txt"
    ours = SimpleNamespace(identity="abc")
    trial = SimpleNamespace(
        trial_id="1",
        config={ASSIGNMENT: SimpleNamespace(trials=(ours,))},
        error_file=errors,
        run_metadata=SimpleNamespace(num_failures=1),
    )

    def die(how):
        errors.write_text(f"Failure # 1 (occurred at 2026-01-01)\nThe actor died unexpectedly.\n{how}\n")
        trial.run_metadata.num_failures = 1
        observer.on_trial_recover(1, [trial], trial)
        return trial.run_metadata.num_failures

    assert die("The actor is dead because its worker process has died. Worker exit type: SYSTEM_ERROR") == 1
    assert die("The actor died because its node has died. Node Id: 12ab") == 0
    assert die("The actor 698c is unavailable: RpcError: RPC error: Socket closed rpc_code: 14") == 0
    assert "its worker process died; trying once more" in notes[0]
    assert "its node was lost; it goes on elsewhere" in notes[1]
    assert waiting == ["abc"] * 3
    assert [die("its node has died") for _ in range(LOSSES)] == [0] * (LOSSES - 2) + [1] * 2


@pytest.mark.slow
def test_an_mlflow_server_that_goes_away_costs_no_trial(tracked, monkeypatch):
    server = MlflowServer(tracked.folder)
    try:
        tracked.environment["MLFLOW_TRACKING_URI"] = server.uri
        tracked.params(default={"repetitions": 3}, toys={"epochs": 3, "busy": 0.6})
        with running(tracked) as driver:
            wait_for_results(tracked, driver, 1)
            server.kill()
            out, err = driver.communicate(timeout=240)
        assert driver.returncode == 0, err
        assert "3 done" in out
        assert "MLflow missed part of this sweep" in out
        assert "`python -m experiments sync` logs it" in out
        assert "Traceback" not in err
        out, err = tracked.run("sync", code=2)
        assert f"the MLflow server {server.uri} does not answer" in err
        expected = undisturbed(monkeypatch)
        server.start()
        out, _ = tracked.run("sync")
        assert re.search(r"^[123] of 3 trials logged to http", out, re.MULTILINE)
        assert_whole(tracked, expected, synced=True)
        out, err = tracked.run("run")
        assert "3 reused, 0 to run" in err
        assert "MLflow missed" not in out
        assert_whole(tracked, expected)
    finally:
        server.kill()


@pytest.mark.slow
def test_a_locked_database_costs_no_trial(tracked, monkeypatch):
    tracked.params(default={"repetitions": 2}, toys={"epochs": 3, "busy": 0.4})
    holder = sqlite3.connect(tracked.folder / "mlflow.db", isolation_level=None, timeout=20)
    with running(tracked) as driver:
        wait_for(lambda: any(tracked.store.glob("*/config.json")))
        holder.execute("BEGIN EXCLUSIVE")
        out, err = driver.communicate(timeout=240)
    assert driver.returncode == 0, err
    assert "2 done" in out
    assert "MLflow missed part of this sweep" in out
    assert "database is locked); nothing else is lost" in out
    assert "Traceback" not in err
    holder.execute("ROLLBACK")
    holder.close()
    out, _ = tracked.run("sync")
    assert "2 of 2 trials logged" in out
    assert_whole(tracked, undisturbed(monkeypatch), synced=True)


@contextmanager
def limited(folder):
    """No file may grow beyond 8 KiB, which needs no rights."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**13, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def filled(folder, left=0):
    """Nothing but `left` bytes is free on the disk of that folder."""
    filler = folder / "filler"
    free = os.statvfs(folder).f_bavail * os.statvfs(folder).f_frsize
    assert free < 2**25, f"{folder} is no small disk"
    filler.write_bytes(bytes(free - left))
    try:
        yield
    finally:
        filler.unlink()


@pytest.fixture
def small_disk(tmp_path):
    """A folder on a disk of 2 MiB of its own."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", place], capture_output=True).returncode:
        pytest.skip("making a small disk takes the right to mount one")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def until_the_disk_is_full(full, layout, monkeypatch, cpu, after):
    """Runs a trial whose disk is full after so many epochs: its reason; then, with room again, to its end."""
    monkeypatch.setattr(training_module, "CHECKPOINT_SECONDS", 0.0)
    (trial,) = trials(load(Path("params.yaml")), layout)
    folder = TrialStore(layout.store).folder(trial.identity)
    rows = epochs(trial, layout, folder, cpu)
    for _ in range(after):
        next(rows)
    kept = folder.checkpoint()
    with full(layout.store), pytest.raises(TrialFailed) as failed:
        next(rows)
    assert len(folder.checkpoint()["rows"]) == len(kept["rows"]) == after - 1
    assert folder.result() is None
    assert not list(folder.path.rglob(".*.partial"))
    again = list(epochs(trial, layout, folder, cpu))
    assert [row["epoch"] for row in again] == list(range(after - 1, 3))
    assert [row["epoch"] for row in folder.rows()] == [0, 1, 2]
    assert (folder.status, folder.failure()) == ("done", None)
    assert sorted(path.name for path in folder.path.iterdir()) == [
        ".lock", "config.json", "metrics.jsonl", "predictions.json", "result.json", "weights.pt",
    ]  # fmt: skip
    return str(failed.value), folder


@pytest.mark.parametrize("after", [2, 3])
def test_a_checkpoint_that_finds_no_room_leaves_the_one_before(world, monkeypatch, cpu, after):
    layout = Layout(store=world.store)
    reason, folder = until_the_disk_is_full(limited, layout, monkeypatch, cpu, after)
    assert reason.startswith("the trial store cannot be written (File too large): make room for ")
    assert str(folder.path) in reason


@pytest.mark.parametrize("after", [2, 3])
def test_a_checkpoint_on_a_full_disk_leaves_the_one_before(world, small_disk, monkeypatch, cpu, after):
    layout = Layout(store=small_disk / "store")
    reason, folder = until_the_disk_is_full(filled, layout, monkeypatch, cpu, after)
    assert reason.startswith("the trial store cannot be written (No space left on device): make room for ")
    assert str(folder.path) in reason


@pytest.mark.slow
def test_a_sweep_goes_on_once_a_full_disk_has_room(tracked, small_disk, monkeypatch):
    tracked.params(default={"repetitions": 2})
    tracked.store = small_disk / "store"
    with filled(small_disk, left=2**14):  # settings and rows fit, weights do not
        out, _ = tracked.run("run", "--store", tracked.store)
        assert "0 done, 2 failed" in out
        for row in table(tracked.results):
            assert row["reason"].startswith("the trial store cannot be written (No space left on device): make room")
            assert str(tracked.store / row["trial_id"]) in row["reason"]
    assert not list(small_disk.rglob(".*.partial"))
    tracked.run("run", "--store", tracked.store)
    assert_whole(tracked, undisturbed(monkeypatch))


@pytest.mark.slow
def test_of_two_drivers_on_one_sweep_the_second_refuses(tracked, monkeypatch):
    tracked.params(default={"repetitions": 2}, toys={"epochs": 3, "busy": 0.5})
    drivers = [tracked.start("run"), tracked.start("run")]
    told = [driver.communicate(timeout=200) for driver in drivers]
    by_code = dict(zip([driver.returncode for driver in drivers], told, strict=True))
    assert set(by_code) == {0, 2}
    refused = by_code[2][1]
    assert re.search(r"error: another sweep is running on \S+store: wait for it", refused)
    assert "Traceback" not in refused
    assert "2 done" in by_code[0][0]
    assert_whole(tracked, undisturbed(monkeypatch))


def cut(path):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])


@pytest.mark.slow
def test_files_cut_in_half_cost_their_own_trial_alone(tracked, main, monkeypatch, cpu):
    tracked.params(default={"repetitions": 3})
    wanted, store = ended_before()
    resultless, curveless, nameless = (store.folder(trial.identity) for trial in wanted)
    tracked.params(default={"repetitions": 3, "proportions": [0.05, 0.1]})
    stopped, failed, _ = (trial for trial in trials(load(Path("params.yaml")), Layout()) if trial not in wanted)
    rows = epochs(stopped, Layout(), store.folder(stopped.identity), cpu)
    for _ in range(2):
        next(rows)
    rows.close()
    store.folder(failed.identity).fail("a reason")

    before = results(tracked)
    cut(resultless.path / "result.json")
    cut(curveless.path / "metrics.jsonl")
    cut(nameless.path / "config.json")
    cut(store.folder(stopped.identity).path / "checkpoint.pt")
    cut(store.folder(failed.identity).path / "failure.json")
    code, out, _ = main("log", nameless.path.name)
    assert (code, "top1" in out) == (0, True)
    out, err = tracked.run("run")
    assert "2 reused, 4 to run" in err
    kept = {folder.path.name for folder in (curveless, nameless)}
    assert {name for name, when in before.items() if results(tracked)[name] == when} == kept
    assert_whole(tracked, undisturbed(monkeypatch), curveless={curveless.path.name})


@pytest.mark.slow
def test_a_clock_that_is_set_back_disturbs_nothing(tracked, monkeypatch):
    real = time.time
    profile, toys = {"proportions": [0.05, 0.1]}, {"epochs": 3, "busy": 0.6}
    tracked.params(default=profile, toys=toys)
    idle(monkeypatch)
    with monkeypatch.context() as tomorrow:
        tomorrow.setattr(time, "time", lambda: real() + 86400)
        ended_before()
    before = results(tracked)
    assert parent_of(tracked.folder / "mlflow.db") == ("FINISHED", {"done": 2, "failed": 0, "missing": 0})
    tracked.params(default={**profile, "repetitions": 3}, toys=toys)
    ahead = tracked.folder / "ahead"
    ahead.touch()
    tracked.environment["TOY_CLOCK"] = str(ahead)
    with running(tracked) as driver:
        wait_for_results(tracked, driver, 3)
        ahead.unlink()
        out, err = driver.communicate(timeout=240)
    assert driver.returncode == 0, err
    assert "2 reused, 4 to run" in err
    assert results(tracked).items() >= before.items()
    assert not re.search(r"-\d", out + err)  # no time is negative
    facts = json.loads((tracked.folder / "experiments/gallery/sweep.json").read_text())
    assert facts["wall_seconds"] > 0
    assert facts["started"] <= facts["finished"]
    assert_whole(tracked, undisturbed(monkeypatch))
