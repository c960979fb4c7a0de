"""MLflow's record on a real SQLite store: a parent for each sweep, one child for each identity, never doubled."""

from pathlib import Path

import pytest

from experiments.tracking import mlflow_runs as tracking
from experiments.tracking.mlflow_runs import Record, sync
from tests.experiments.tracking.recorded_runs import all_runs


def open_record():
    return Record(f"sqlite:///{Path.cwd()}/mlflow.db", "mnist-5k", Path("mlartifacts"))


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
    own = {"identity": failed.identity, "trial": failed.mapping}
    folder.finish(store.folder(done.identity).result() | own)
    record.complete(failed, folder, parent)
    found = record.client.get_run(run)
    assert (found.info.status, found.data.tags["reason"]) == ("FINISHED", "")
    assert len(record.client.get_metric_history(run, "top1")) == 1


def test_a_trial_that_fails_before_its_first_epoch_in_two_sweeps_is_recorded(swept):
    config, wanted, store = swept
    folder = store.folder(wanted[3].identity)
    for _ in range(2):  # each sweep opens the record anew
        folder.begin({})
        folder.fail("FileNotFoundError: no shard 3", "")
        assert not folder.rows()
        record = open_record()
        parent = record.sweep("default", config.resolved())
        record.begin(wanted[3], parent)
        sync(record, parent, wanted, store)
    _, runs = all_runs()
    assert not [run for run in runs if run.info.status == "RUNNING"]
    (run,) = [run for run in runs if run.data.tags.get("identity") == wanted[3].identity]
    assert (run.info.status, run.data.tags["reason"]) == ("FAILED", "FileNotFoundError: no shard 3")


def test_sync_as_a_command(swept, main):
    code, out, _ = main("sync")
    assert code == 0
    assert "3 of 4 trials logged to sqlite:///" in out
    code, out, _ = main("sync")
    assert "0 of 4 trials logged" in out


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
