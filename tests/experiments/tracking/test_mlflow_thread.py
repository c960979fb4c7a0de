"""MLflow is told from a thread, and what it misses is made good."""

import sqlite3
import threading

import pytest
from mlflow import MlflowClient

from experiments.tracking import mlflow_runs as tracking
from experiments.tracking import mlflow_thread as tracker_module
from experiments.tracking.mlflow_thread import Tracker
from tests.experiments.tracking.recorded_runs import all_runs


def test_the_driver_logs_while_it_runs_and_leaves_no_run_open(swept):
    config, wanted, store = swept
    tracker = Tracker(config, wanted, store)
    for trial in wanted[:2]:
        tracker.begin(trial)
        for row in store.folder(trial.identity).rows():
            tracker.row(trial, row)
    tracker.end(wanted[0])
    tracker.begin(wanted[3])
    tracker.close()
    assert tracker.error is None
    _, runs = all_runs()
    assert len(runs) == 5
    assert {run.info.run_id for run in runs} >= set(tracker.runs.values())
    by_name = {run.data.tags["identity"]: run for run in runs if "identity" in run.data.tags}
    assert by_name[wanted[3].identity].info.status == "KILLED"
    assert not [run for run in runs if run.info.status == "RUNNING"]


def test_a_record_that_breaks_costs_no_trial(swept, monkeypatch):
    config, wanted, store = swept

    def broken(*args):
        raise OSError("database is locked")

    monkeypatch.setattr(tracking.Record, "log", broken)
    tracker = Tracker(config, wanted, store)
    tracker.begin(wanted[0])
    tracker.row(wanted[0], {"epoch": 0, "loss": 1.0, "time": 0.0})
    tracker.end(wanted[0])
    tracker.close()
    assert "database is locked" in str(tracker.error)


REFUSED = {
    "create_run": (0, 2),
    "log_batch": (0, 2, 6),
    "set_terminated": (1,),
    "update_run": (0,),
    "search_runs": (0,),
}


@pytest.mark.parametrize(("method", "takes"), [(name, takes) for name, counts in REFUSED.items() for takes in counts])
@pytest.mark.parametrize("pause", [0.0, 1000.0])  # before it is tried again: none, or until all is over
def test_an_outage_heals_by_itself(swept, monkeypatch, method, takes, pause):
    config, wanted, store = swept
    monkeypatch.setattr(tracker_module, "RETRY_SECONDS", pause)
    real, calls = getattr(MlflowClient, method), []

    def refused_once(*args, **kwargs):
        calls.append(args)
        if len(calls) == takes + 1:
            raise OSError("it does not answer")
        return real(*args, **kwargs)

    monkeypatch.setattr(MlflowClient, method, refused_once)
    tracker = Tracker(config, wanted, store)
    for trial in wanted[:3]:
        tracker.begin(trial)
        for row in store.folder(trial.identity).rows():
            tracker.row(trial, row)
        tracker.end(trial)
    tracker.begin(wanted[3])
    tracker.close()
    assert tracker.error is None
    assert len(calls) > takes
    monkeypatch.setattr(MlflowClient, method, real)
    client, runs = all_runs()
    by_name = {run.data.tags["identity"]: run for run in runs if "identity" in run.data.tags}
    assert len(runs) == len(by_name) + 1
    assert tracker.runs == {name: run.info.run_id for name, run in by_name.items()}
    for trial in wanted[:3]:
        run, folder = by_name[trial.identity], store.folder(trial.identity)
        assert run.info.status == ("FINISHED" if folder.status == "done" else "FAILED")
        assert run.data.params["settings.epochs"] == "3"
        history = client.get_metric_history(run.info.run_id, "validation_accuracy")
        assert [metric.step for metric in history] == [row["epoch"] for row in folder.rows()]
    assert not [run for run in runs if run.info.status == "RUNNING"]


def test_a_database_locked_for_a_moment_is_waited_for(swept):
    config, wanted, store = swept
    holder = sqlite3.connect("mlflow.db", isolation_level=None, check_same_thread=False)
    tracker = Tracker(config, wanted, store)
    tracker.begin(wanted[0])
    holder.execute("BEGIN EXCLUSIVE")
    released = threading.Timer(2, holder.execute, ["ROLLBACK"])
    released.start()
    tracker.end(wanted[0])
    tracker.close()
    released.join()
    holder.close()
    assert tracker.error is None
    _, runs = all_runs()
    assert len(runs) == 4
