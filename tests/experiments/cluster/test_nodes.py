"""Sweeps on a real cluster of several nodes on this machine, and what is refused before one begins."""

import os
from pathlib import Path

import pytest

from data.errors import UserError
from experiments.cluster import nodes as cluster_nodes
from experiments.compute.resources import resolve
from experiments.files import write_csv
from experiments.settings.config import load
from experiments.settings.schema import Compute
from experiments.sweep.results import COLUMNS, row
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout
from experiments.trials.grid import trials
from experiments.trials.run import run_trial
from tests.experiments.nodes import TOKEN
from tests.experiments.sweeping import table, timeless, wait_for


@pytest.mark.slow
def test_a_node_may_die_and_another_come_and_the_table_is_that_of_an_undisturbed_run(tracked, nodes, cpu):
    tracked.params(default={"proportions": [0.05, 0.1], "repetitions": 3}, compute={}, toys={"epochs": 3, "busy": 0.7})
    stranger = tracked.environment | {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "0" * 64}
    tracked.environment = stranger
    out, err = tracked.run("run", "--address", nodes.address, code=2)
    assert f"no Ray cluster at {nodes.address} (" in err
    assert "RAY_AUTH_TOKEN" in err
    assert "Traceback" not in err
    tracked.environment = stranger | {"RAY_AUTH_TOKEN": TOKEN}
    driver = tracked.start("run", "--address", nodes.address)
    try:
        wait_for(lambda: list(tracked.store.glob("*/result.json")))
        nodes.kill(1)
        nodes.add()
        out, err = driver.communicate(timeout=200)
    finally:
        driver.kill()
    assert driver.returncode == 0, err
    assert "6 done" in out
    assert "2 at once, each on 1 CPU" in err
    undisturbed, rows = TrialStore(Path("undisturbed")), []
    for trial in trials(load(Path("params.yaml")), Layout()):
        run_trial(trial, Layout(), undisturbed.folder(trial.identity), cpu, lambda row: None)
        rows.append(row(trial, undisturbed, {}))
    write_csv(Path("undisturbed.csv"), COLUMNS, rows)
    assert timeless(tracked.results) == timeless(Path("undisturbed.csv"))
    shas = {row["git_sha"] for row in table(tracked.results)}
    assert shas == {rows[0]["git_sha"]}  # the workers had it from the driver
    assert not list(tracked.store.glob(".mark-*"))


def test_nobody_at_the_address(world, main, monkeypatch):
    for name, value in {"RAY_AUTH_MODE": "", "RAY_ADDRESS": "127.0.0.1:9"}.items():
        monkeypatch.setenv(name, value)
    code, _, err = main("run")
    assert code == 2
    assert "no Ray cluster at 127.0.0.1:9 (" in err
    assert "RAY_ADDRESS" in err
    assert "Traceback" not in err
    assert not list(world.store.glob("*/config.json"))


def test_what_a_node_may_lack(world, tmp_path):
    from data.labelled.splits import Splits
    from data.prepared.store import ImageStore

    layout = Layout().absolute()
    store, splits = ImageStore.open(layout.processed("mnist-5k")), Splits.open(layout.splits("mnist-5k"))
    expected = (store.fingerprint, splits.data, splits.repetitions)
    layout.store.mkdir(parents=True)
    mark = ".mark"
    assert "is not the trial store that the driver sees" in cluster_nodes._lacking(
        layout, "mnist-5k", expected, mark, 0
    )
    (layout.store / mark).touch()
    assert cluster_nodes._lacking(layout, "mnist-5k", expected, mark, 0) is None
    others = ("another", *expected[1:])
    assert "other images or splits of mnist-5k" in cluster_nodes._lacking(layout, "mnist-5k", others, mark, 0)
    elsewhere = Layout(data=tmp_path / "nowhere", store=layout.store)
    assert "holds no prepared images" in cluster_nodes._lacking(elsewhere, "mnist-5k", expected, mark, 0)


def test_a_cluster_is_named_where_it_has_too_little():
    with pytest.raises(UserError, match=r"cpus_per_trial = 4: the cluster at auto has 2 CPUs"):
        resolve(Compute(cpus_per_trial=4), 2, 0, "the cluster at auto")
    assert os.environ.get("EXPERIMENTS_REVISION") is None
