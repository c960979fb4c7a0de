"""MLflow's record on a real SQLite store: a parent for each sweep, one child for each identity, never doubled."""

import os
import sqlite3
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from mlflow import MlflowClient

from data.errors import UserError
from experiments.settings.config import load
from experiments.tracking import background as tracker_module
from experiments.tracking import record as tracking
from experiments.tracking.background import Tracker, check_tracking, tracking_uri
from experiments.tracking.record import Record, sync
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout
from experiments.trials.grid import trials
from experiments.trials.run import epochs
from experiments.trials.training import TrialFailed


@pytest.fixture
def swept(tracked, cpu):
    """Three trials, one of which failed, in the store, and an MLflow that knows none of them."""
    # An absolute path: MLflow keeps stores open by their address, so tests would share a relative one.
    uri = f"sqlite:///{tracked.folder}/mlflow.db"
    tracked.params(default={"systems": ["toy-nan", "toy-bounded"], "repetitions": 2}, tracking={"uri": uri})
    config, layout = load(Path("params.yaml")), Layout()
    store, wanted = TrialStore(layout.store), trials(load(Path("params.yaml")), Layout())
    for trial in wanted[:3]:
        try:
            list(epochs(trial, layout, store.folder(trial.identity), cpu))
        except TrialFailed:
            continue
    return config, wanted, store


def open_record():
    return Record(f"sqlite:///{Path.cwd()}/mlflow.db", "mnist-5k", Path("mlartifacts"))


def all_runs():
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlflow.db")
    experiment = client.get_experiment_by_name("mnist-5k")
    return client, client.search_runs([experiment.experiment_id])


def test_what_mlflow_misses_is_logged_from_the_store_and_only_once(swept):
    config, wanted, store = swept
    counts = []
    for _ in range(3):
        record = open_record()
        counts.append(sync(record, record.sweep("default", config.resolved()), wanted, store))
    assert counts == [3, 0, 0]

    client, runs = all_runs()
    children = {run.data.tags["identity"]: run for run in runs if "identity" in run.data.tags}
    (parent,) = [run for run in runs if "identity" not in run.data.tags]
    assert len(runs) == 4
    assert parent.data.tags["sweep"] == "default"
    assert parent.data.metrics == {"done": 2, "failed": 1, "missing": 1}
    for trial in wanted[:3]:
        run, folder = children[trial.identity], store.folder(trial.identity)
        assert run.data.tags["mlflow.parentRunId"] == parent.info.run_id
        assert run.data.tags["system"] == trial.system
        assert run.data.tags["seed"] == str(trial.seed)
        assert run.data.params["settings.epochs"] == "3"
        history = client.get_metric_history(run.info.run_id, "loss")
        assert [(m.step, m.value) for m in history] == [(row["epoch"], row["loss"]) for row in folder.rows()]
        result = folder.result()
        if result is None:
            assert run.info.status == "FAILED"
            assert "not finite" in run.data.tags["reason"]
        else:
            assert run.info.status == "FINISHED"
            assert run.data.metrics["top1"] == result["top1"]
            assert run.data.metrics["elbo"] == result["elbo"]
            pictures = {file.path for file in client.list_artifacts(run.info.run_id, "pictures")}
            assert pictures == {"pictures/reconstructions.png", "pictures/samples.png"}


def test_one_call_for_each_report_and_no_row_twice(swept, monkeypatch):
    config, wanted, store = swept
    record = open_record()
    trial = wanted[0]
    run = record.begin(trial, record.sweep("default", config.resolved()))
    rows = store.folder(trial.identity).rows()
    calls = []
    real = record.client.log_batch
    monkeypatch.setattr(record.client, "log_batch", lambda *args, **kwargs: (calls.append(args), real(*args, **kwargs)))
    record.log(run, rows[:1])
    record.log(run, rows[1:2])
    assert len(calls) == 2
    again = open_record()  # as after a kill: the trial goes on from an earlier epoch
    assert again.begin(trial, "another sweep's run") == run
    again.log(run, rows[:1])
    again.log(run, rows)
    history = again.client.get_metric_history(run, "loss")
    assert [metric.step for metric in history] == [0, 1, 2]


def test_a_trial_half_logged_is_completed(swept):
    config, wanted, store = swept
    record = open_record()
    parent = record.sweep("default", config.resolved())
    run = record.begin(wanted[0], parent)
    record.log(run, store.folder(wanted[0].identity).rows()[:2])
    record = open_record()
    assert sync(record, parent, wanted, store) == 3
    client, runs = all_runs()
    assert len(runs) == 4
    assert len(client.get_metric_history(run, "validation_accuracy")) == 3
    assert client.get_run(run).info.status == "FINISHED"


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


def test_a_failed_trial_that_is_tried_again_keeps_its_run(swept):
    config, wanted, store = swept
    (failed,) = (trial for trial in wanted[:3] if store.folder(trial.identity).status == "failed")
    folder = store.folder(failed.identity)
    record = open_record()
    parent = record.sweep("default", config.resolved())
    sync(record, parent, wanted, store)
    run = record.begin(failed, parent)
    assert record.client.get_run(run).data.tags["reason"] == ""
    record.complete(failed, folder, parent)
    assert record.client.get_run(run).info.status == "FAILED"

    done = next(trial for trial in wanted if store.folder(trial.identity).status == "done")
    assert record.begin(failed, parent) == run
    folder.finish(store.folder(done.identity).result())
    record.complete(failed, folder, parent)
    found = record.client.get_run(run)
    assert (found.info.status, found.data.tags["reason"]) == ("FINISHED", "")
    assert len(record.client.get_metric_history(run, "top1")) == 1


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


def test_sync_as_a_command(swept, main):
    code, out, _ = main("sync")
    assert code == 0
    assert "3 of 4 trials logged to sqlite:///" in out
    code, out, _ = main("sync")
    assert "0 of 4 trials logged" in out


def test_where_mlflow_is(world, monkeypatch):
    config = load(Path("params.yaml"))
    assert tracking_uri(config) == "sqlite:///mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert tracking_uri(config) == "http://server:5000"
    world.params(tracking={"uri": "sqlite:///mine.db"})
    assert tracking_uri(load(Path("params.yaml"))) == "sqlite:///mine.db"
    check_tracking("sqlite:///mine.db")


def test_a_server_that_does_not_answer_to_its_name(monkeypatch):
    """As MLflow's own protection from rebound names refuses it: all but /health."""
    from mlflow.server.security_utils import HEALTH_ENDPOINTS, INVALID_HOST_MSG

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self):
            well = self.path in HEALTH_ENDPOINTS
            self.send_response(200 if well else 403)
            self.end_headers()
            self.wfile.write(b"OK" if well else INVALID_HOST_MSG.encode())

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        name = f"localhost:{server.server_port}"
        try:
            with pytest.raises(UserError, match=f"to the name {name}: start it with --allowed-hosts {name}"):
                check_tracking(f"http://{name}")
        finally:
            server.shutdown()
            thread.join()


def test_nothing_is_reported_home():
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["DO_NOT_TRACK"] == "true"


@pytest.mark.usefixtures("swept")
def test_runs_are_found_on_every_page(monkeypatch):
    record = open_record()
    wanted = {f"{number:016x}" for number in range(8)}
    for name in wanted:
        record.client.create_run(record.experiment, tags={"identity": name})
    for page in (1, 3, 4, 8):
        monkeypatch.setattr(tracking, "PAGE", page)
        assert set(open_record().runs) == wanted


@pytest.mark.slow
@pytest.mark.usefixtures("swept")
def test_every_run_is_found_beyond_the_first_page(monkeypatch):
    record = open_record()
    wanted = {f"{number:016x}" for number in range(1203)}
    for name in sorted(wanted):
        record.client.create_run(record.experiment, tags={"identity": name})
    assert set(open_record().runs) == wanted


def test_limits_and_the_tag_of_a_parent_are_those_of_mlflow():
    """They are documented, and written down here: a release that changes them is noticed."""
    from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
    from mlflow.utils.validation import MAX_METRICS_PER_BATCH, MAX_PARAMS_TAGS_PER_BATCH

    assert tracking.PARENT == MLFLOW_PARENT_RUN_ID
    assert (tracking.MAX_METRICS, tracking.MAX_PARAMS) == (MAX_METRICS_PER_BATCH, MAX_PARAMS_TAGS_PER_BATCH)
