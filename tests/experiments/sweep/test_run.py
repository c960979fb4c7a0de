"""Sweeps on a real Ray: everything is run once, whatever happens on the way."""

import json
import os
import re
import shutil
import signal
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pytest

from experiments.compute.stalled import Stalled
from experiments.sweep import run
from experiments.sweep.results import COLUMNS
from tests.experiments.sweeping import descendants, table, wait_for_results, wait_until_gone


def test_a_sweep_outlives_its_failing_trials(tracked):
    profile = {
        "systems": ["toy", "toy-bounded", "toy-nan", "toy-greedy", "toy-dying", "toy-killed", "toy-once-dying"],
        "proportions": [0.05],
        "repetitions": 2,
        "xi_study": {"systems": ["toy-bounded"], "proportions": [0.05], "xi": [0]},
    }
    settings = {
        "toys": {"epochs": 3},
        "systems": {"toy-once-dying": {"grave": str(tracked.folder / "grave")}},
    }
    tracked.params(default=profile, **settings)
    out, err = tracked.run("run")

    rows = table(tracked.results)
    assert tuple(rows[0]) == COLUMNS
    order = [(row["system"], float(row["proportion"]), row["xi"] not in ("", "auto"), int(row["seed"])) for row in rows]
    assert order == sorted(order)
    found = {(row["system"], row["xi"], row["seed"]): row for row in rows}
    assert len(found) == len(rows) == 16
    failed = {key for key, row in found.items() if row["status"] == "failed"}
    assert failed == {(f"toy-{name}", "", "0") for name in ("nan", "greedy", "dying", "killed")}
    assert all(row["status"] == "done" for key, row in found.items() if key not in failed)
    assert "not finite (nan) in epoch 1" in found["toy-nan", "", "0"]["reason"]
    for name in ("toy-dying", "toy-killed"):
        assert "its worker process died again: it crashed, or was killed" in found[name, "", "0"]["reason"]
    assert found["toy-greedy", "", "0"]["reason"].startswith("out of memory (RuntimeError: ")
    assert "let fewer trials run at once (compute.workers)" in found["toy-greedy", "", "0"]["reason"]
    assert "toy-killed 5% seed 0: its worker process died; trying once more" in err
    assert found["toy-nan", "", "0"]["top1"] == ""
    assert found["toy-bounded", "auto", "0"]["xi_value"] == "7.0"
    assert found["toy-bounded", "0", "1"]["elbo"] != ""
    assert all(row["mlflow_run_id"] for row in rows)
    assert "12 done, 4 failed" in out
    for key in failed:
        assert f"failed: {found[key]['trial_id']}" in out
    assert "Traceback" not in err

    gallery = tracked.folder / "experiments/gallery"
    facts = json.loads((gallery / "sweep.json").read_text())
    assert facts["trials"] == {"done": 12, "failed": 4, "missing": 0, "reused": 0}
    assert facts["workers"] == 2
    assert facts["params"]["profile"] == "default"
    assert {picture["kind"] for picture in facts["pictures"]} == {"reconstructions", "samples"}
    assert {picture["xi"] for picture in facts["pictures"]} == {"auto"}
    assert sorted(picture["file"] for picture in facts["pictures"]) == sorted(p.name for p in gallery.glob("*.png"))


def test_a_hanging_trial_costs_the_others_nothing(tracked, main):
    # Eight seconds: on a busy machine the first epoch of a process takes more than three.
    tracked.params(
        default={"systems": ["toy-hanging"], "proportions": [0.05], "repetitions": 2},
        compute={"workers": 2, "epoch_seconds": 8},
    )
    out, err = tracked.run("run")
    assert "1 done, 1 failed" in out
    assert "trying once more" in err
    rows = {row["seed"]: row for row in table(tracked.results)}
    assert (rows["0"]["status"], rows["1"]["status"]) == ("failed", "done")
    assert "an epoch took more than 8 seconds, twice (compute.epoch_seconds)" in rows["0"]["reason"]
    code, out, _ = main("log", rows["0"]["trial_id"][:8])
    assert code == 0
    assert "epoch   0" in out
    assert "in loss" in out  # where it stood
    assert "toy_systems.py" in out
    code, out, _ = main("log", rows["1"]["trial_id"])
    assert f"top1: {float(rows['1']['top1'])}" in out
    assert "epoch   2" in out
    code, _, err = main("log", "zz")
    assert code == 2
    assert "'zz': no trial starts so" in err


@pytest.mark.slow
def test_watching_a_sweep_until_it_is_done(tracked):
    tracked.params(default={"repetitions": 2})
    watching = tracked.start("status", "--watch")
    time.sleep(5)
    assert watching.poll() is None
    tracked.run("run")
    out, err = watching.communicate(timeout=60)
    assert watching.returncode == 0, err
    assert out.replace("│", " ").split("all")[-1].split()[:1] == ["2"]


@pytest.fixture
def own_tmp(tracked):
    """The folder in which a command of this world makes its temporary files; short, since Ray's sockets are in it."""
    folder = Path(tempfile.mkdtemp(prefix="t", dir="/tmp"))
    tracked.environment["TMPDIR"] = str(folder)
    yield folder
    shutil.rmtree(folder)


@pytest.mark.slow
@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_sigterm_end_a_sweep_cleanly(tracked, own_tmp, blow):
    """SIGTERM goes to the driver and all that descends from it, as a service manager sends it."""
    tracked.params(default={"repetitions": 3, "proportions": [0.05, 0.1]}, toys={"epochs": 6, "busy": 0.5})
    driver = tracked.start("run")
    wait_for_results(tracked, driver, 1)
    children = descendants(driver.pid)
    for process in [driver.pid, *(children if blow == signal.SIGTERM else ())]:
        with suppress(ProcessLookupError):
            os.kill(process, blow)
    out, err = driver.communicate(timeout=60)
    assert driver.returncode == 130, err
    assert "stopped half-way: `python -m experiments run` goes on from here" in out
    assert "Traceback" not in err
    wait_until_gone(children)
    assert not [*own_tmp.glob("ray-*"), *own_tmp.glob("tune-*")]
    statuses = {found["status"] for found in table(tracked.results)}
    assert statuses == {"done", "missing"}
    assert list(tracked.store.glob("*/checkpoint.pt"))
    assert not re.search(r"SIGTERM|\*\*\*", err)  # no dump of stacks
    if blow == signal.SIGTERM:
        return
    out, _ = tracked.run("status")
    assert "runs what is not done" in out
    out, _ = tracked.run("run")
    assert "6 done" in out


def test_a_sweep_on_which_nothing_runs_ends_with_its_table(tracked, main, monkeypatch):
    def stall(*settings):
        raise Stalled("Ray's raylet died")

    monkeypatch.setattr(run, "dispatch", stall)
    code, out, err = main("run")
    assert code == 1
    assert "0 done, 1 missing" in out
    assert "error: Ray's raylet died; what is done is kept: `python -m experiments run` goes on from here" in err
    assert [row["status"] for row in table(tracked.results)] == ["missing"]


def test_status_and_plan_show_where_a_sweep_stands(world, main, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    world.params(default={"proportions": [0.05, 0.1], "repetitions": 2}, systems={"toy": {}})
    main("trial", "--system", "toy", "--proportion", "0.1")
    code, out, _ = main("plan")
    assert code == 0
    assert "4 trials: 1 reused, 3 to run" in out
    world.params(default={"proportions": [0.05, 0.1, 1.0], "repetitions": 3}, systems={"toy": {}})
    _, out, _ = main("plan")
    assert "9 trials: 1 reused, 8 to run" in out
    assert "3 repetitions: p is at best 0.12 for a claim and 0.25 for a difference, so nothing can be told" in out
    code, out, _ = main("status")
    assert code == 0
    (total,) = (line for line in out.splitlines() if " all " in line)
    assert total.replace("│", " ").split() == ["all", "1", "0", "0", "8"]


def test_a_tracking_server_that_is_down_is_told_before_any_work(world, main, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    for command in ("run", "sync"):
        code, _, err = main(command)
        assert code == 2
        assert "http://127.0.0.1:9 does not answer" in err
    assert not world.store.exists()
