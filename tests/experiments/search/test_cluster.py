"""Everything at once, as a team would have it: a cluster of several nodes, and a PostgreSQL server."""

from pathlib import Path

import numpy as np
import pytest
from mlflow import MlflowClient

from experiments.search.optuna_study import Study
from experiments.search.protocol import Protocol
from experiments.search.storage import opened, sqlite
from experiments.settings.config import load
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout
from experiments.trials.grid import trials
from tests.experiments.mlflow_server import MlflowServer
from tests.experiments.nodes import TOKEN
from tests.experiments.postgres import PASSWORD
from tests.experiments.searching import ask_for, read_evidence
from tests.experiments.sweeping import table

RATES = {"choices": [1e-6, 1e-5, 0.05]}
EPOCHS = {"choices": [1, 2, 4]}


@pytest.mark.slow
def test_a_search_on_a_cluster_finds_the_front_and_keeps_its_study_on_a_server(tracked, nodes, postgres, monkeypatch):
    ask_for(tracked, {"toy": {"learning_rate": RATES, "epochs": EPOCHS}}, trials=1)
    earlier = Study(Protocol(load(Path("params.yaml")), Layout(), "toy"), sqlite(tracked.folder / "earlier"))
    url = postgres.database("studies-of-a-cluster")
    asked = {"objectives": ["accuracy", "cost"], "storage": url, "warm_start": 1, "compute": {}}
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    with opened(url, tracked.folder, []) as storage:
        earlier = Study(earlier.protocol, storage)
        earlier._study.enqueue_trial({"learning_rate": 0.05, "epochs": 4})
        for score in (10.0, 90.0):
            number = earlier.ask().number
            earlier.report(number, [score] * 4, 1.0)
            earlier.end(number)
    ask_for(tracked, {"toy": {"learning_rate": RATES, "epochs": EPOCHS}}, trials=6, **asked)
    tracked.environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN, "PGPASSWORD": PASSWORD}
    out, err = tracked.run("search", "toy", "--address", nodes.address)
    assert "2 at once, each on 1 CPU" in err
    assert "Traceback" not in err
    rows, told = read_evidence(tracked)
    assert [row["origin"] for row in rows] == ["shipped", f"warm start from {earlier.protocol.name}", *4 * ["drawn"]]
    assert (rows[1]["params_learning_rate"], rows[1]["params_epochs"], rows[1]["state"]) == ("0.05", "4", "complete")

    protocol = Protocol(load(Path("params.yaml")), Layout(), "toy")
    done = {}
    for row in rows:
        params = {"learning_rate": float(row["params_learning_rate"]), "epochs": int(row["params_epochs"])}
        cells = protocol.trials(params)[: int(row["cells"])]
        accuracies = [
            TrialStore(tracked.store / "search").folder(trial.identity).result()["validation_accuracy"]
            for trial in cells
        ]
        assert float(row["score"]) == pytest.approx(np.mean(accuracies), abs=1e-4)
        images = np.mean([trial.labelled for trial in cells])
        assert float(row["operations"]) == pytest.approx(4 * 10 * 784 * images * params["epochs"], rel=1e-9)
        if row["state"] == "complete":
            done[int(row["number"])] = np.mean(accuracies), images * params["epochs"]
    edge = {
        number
        for number, (score, cost) in done.items()
        if all(s < score or c > cost or (s, c) == (score, cost) for s, c in done.values())
    }
    assert {int(row["number"]) for row in rows if row["pareto"] == "yes"} == set(told["front"]) == edge
    assert f"setting {told['front'][0]}" in out
    assert not list(tracked.store.rglob("studies.db"))
    with opened(url, tracked.folder, [protocol.name]) as storage:
        settings = Study(protocol, storage).settings()
    assert [(s.params["epochs"], s.origin) for s in settings] == [
        (int(row["params_epochs"]), row["origin"]) for row in rows
    ]
    assert PASSWORD not in out + err


@pytest.fixture
def server(postgres, tmp_path_factory):
    """An MLflow server over HTTP whose records are in PostgreSQL."""
    made = MlflowServer(tmp_path_factory.mktemp("server"), postgres.database("mlflow"), postgres.environment)
    yield made.uri
    made.kill()


@pytest.mark.slow
def test_a_sweep_is_recorded_by_a_server_on_postgresql(world, server, main, monkeypatch):
    world.params(default={"repetitions": 2}, toys={"epochs": 2})
    world.environment["MLFLOW_TRACKING_URI"] = server
    out, _ = world.run("run")
    assert "MLflow missed" not in out
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server)
    assert "0 of 2 trials logged" in main("sync")[1]
    client = MlflowClient(server)
    runs = client.search_runs([client.get_experiment_by_name("mnist-5k").experiment_id])
    children = {run.data.tags["identity"]: run for run in runs if "identity" in run.data.tags}
    wanted = trials(load(Path("params.yaml")), Layout())
    assert len(runs) == 3
    assert set(children) == {trial.identity for trial in wanted}
    for row in table(world.results):
        run = children[row["trial_id"]]
        assert (run.info.run_id, run.info.status) == (row["mlflow_run_id"], "FINISHED")
        assert run.data.metrics["top1"] == pytest.approx(float(row["top1"]), abs=1e-2)
        assert [metric.step for metric in client.get_metric_history(run.info.run_id, "loss")] == [0, 1]
    assert not list(world.folder.glob("mlflow.db"))
