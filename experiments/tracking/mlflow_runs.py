"""MLflow's record of a sweep. The trial store is the truth: whatever MLflow lacks is logged again from it."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from data.errors import UserError
from experiments.provenance import revision
from experiments.tracking.mlflow_database import create_database, sqlite_path
from experiments.trial_store.folders import TrialFolder, TrialStore
from experiments.trials.caption_scores import SCORES
from experiments.trials.grid import Trial, percent, xi_text

for _name, _level in {"alembic": logging.WARNING, "mlflow.store.db.utils": logging.CRITICAL}.items():
    logging.getLogger(_name).setLevel(_level)  # the errors that the latter logs are raised too
# A request whose answer was lost may have been carried out, and repeating it would make a second run. So MLflow must
# not repeat what fails; the record is opened again instead, and looks for what is there.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # two lines for every run of a server

# Limits of MLflow's REST API on one log-batch request, and its tag that nests a run under another (both documented).
MAX_METRICS, MAX_PARAMS = 1000, 100
PARENT = "mlflow.parentRunId"
PAGE = 1000  # runs fetched at once
UNPLOTTED = {"epoch", "time", "threads", "gpu"}  # entries of a row that are step, timestamp, and no curve
FINAL = (
    "top1", "top5", "ece", "ece_scaled", "temperature", *SCORES, "perplexity", "elbo", "kl_switches", "train_seconds",
    "test_ms_per_image", "xi_value", "updates", "images_drawn", "operations",
)  # fmt: skip
KIND = {"mlflow.experimentKind": "custom_model_development"}  # the view that MLflow's page opens with
# This project's tags: `identity` on a trial's run, `sweep` on its parent, `recorded` once all of a trial is in its run,
# `reason` where the trial failed.
IDENTITY, SWEEP, RECORDED, REASON = "identity", "sweep", "recorded", "reason"


class Record:
    """The runs of one dataset's experiment: a parent for each sweep, and under it a child for each trial identity.

    It looks for existing runs before it makes any, so no identity ever has two. It is not for use by several threads.
    All methods raise what MLflow raises where its store cannot be reached or written.

    Args:
        uri: MLflow's tracking URI.
        dataset: name of the dataset, which the experiment is named after.
        artifacts: folder for artifacts, where MLflow is no server that has its own.
    """

    def __init__(self, uri: str, dataset: str, artifacts: Path) -> None:
        if uri.startswith("sqlite"):
            create_database(sqlite_path(uri))
        self.client = MlflowClient(uri)
        self.experiment = self._experiment(dataset, None if uri.startswith("http") else artifacts)
        self.parents: dict[str, str] = {}
        self.runs: dict[str, str] = {}
        self.recorded: dict[str, str] = {}  # identity -> "done" or "failed"
        self._logged: dict[str, int] = {}  # run -> number of epochs whose rows it has
        self._bare: set[str] = set()  # runs that were interrupted before their parameters were logged
        self._started: dict[str, int] = {}  # run -> start in milliseconds, by the clock at that time
        for run in self._all_runs():
            tags = run.data.tags
            self._started[run.info.run_id] = run.info.start_time
            if IDENTITY in tags:
                self.runs[tags[IDENTITY]] = run.info.run_id
                # A run that was not ended may lack what comes after the tag.
                self.recorded[tags[IDENTITY]] = tags.get(RECORDED, "") if run.info.status != "RUNNING" else ""
                if not run.data.params:
                    self._bare.add(run.info.run_id)
            elif SWEEP in tags:
                self.parents[tags[SWEEP]] = run.info.run_id

    def _experiment(self, dataset: str, artifacts: Path | None) -> str:
        experiment = self.client.get_experiment_by_name(dataset)
        if experiment is None:
            location = None if artifacts is None else (artifacts / dataset).absolute().as_uri()
            return self.client.create_experiment(dataset, artifact_location=location, tags=KIND)
        if experiment.lifecycle_stage != "active":
            raise UserError(
                f"MLflow's experiment {dataset!r} was deleted: bring it back with "
                f"`mlflow experiments restore --experiment-id {experiment.experiment_id}`"
            )
        return experiment.experiment_id

    def _all_runs(self) -> Iterable[Any]:
        token = None
        while True:
            page = self.client.search_runs([self.experiment], max_results=PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def _create(self, name: str, tags: Mapping[str, str]) -> str:
        made = self.client.create_run(self.experiment, run_name=name, tags=dict(tags))
        run = made.info.run_id
        self._started[run], self._logged[run] = made.info.start_time, 0
        return run

    def _end(self, run: str, status: str) -> None:
        """Ends the run, and never before it began, even if the clock was set back since."""
        self.client.set_terminated(run, status, end_time=max(self._started[run], _milliseconds(time.time())))

    def sweep(self, name: str, params: Mapping[str, Any]) -> str:
        """Returns the sweep's own run, found by its tag or created, and keeps its settings as an artifact."""
        if name not in self.parents:
            tags = {SWEEP: name, "git_sha": revision()["git_sha"]}
            self.parents[name] = self._create(name, tags)
        run = self.parents[name]
        self.client.update_run(run, status="RUNNING")
        self.client.set_tag(run, "git_sha", revision()["git_sha"])
        self.client.log_dict(run, dict(params), "params.json")
        return run

    def end_sweep(self, run: str, counts: Mapping[str, int]) -> None:
        """Logs how many trials of the sweep are done, failed and missing, and ends its run."""
        stamp = _milliseconds(time.time())
        step = len(self.client.get_metric_history(run, "missing"))  # orders the counts even if the clock was set back
        self.client.log_batch(run, [Metric(name, value, stamp, step) for name, value in counts.items()])
        self._end(run, "FINISHED" if not counts["missing"] else "KILLED")

    def begin(self, trial: Trial, parent: str) -> str:
        """Returns the trial's run, found by its identity or created under `parent`, and marks it as running."""
        run = self.runs.get(trial.identity)
        if run is not None:
            if run in self._bare:
                self._describe(trial, run)
            self.recorded[trial.identity] = ""
            self.client.log_batch(run, tags=[RunTag(RECORDED, ""), RunTag(REASON, "")])
            self.client.update_run(run, status="RUNNING")
            return run
        tags = {
            IDENTITY: trial.identity,
            "system": trial.system,
            "proportion": percent(trial.proportion),
            "xi": xi_text(trial.xi),
            "seed": str(trial.seed),
            "git_sha": revision()["git_sha"],
            PARENT: parent,
        }
        run = self.runs[trial.identity] = self._create(str(trial), tags)
        self._describe(trial, run)
        return run

    def _describe(self, trial: Trial, run: str) -> None:
        fields = {**trial.mapping, "xi": xi_text(trial.xi), "labelled": trial.labelled}
        params = [Param(name, str(value)) for name, value in _flat(fields)]
        for start in range(0, len(params), MAX_PARAMS):
            self.client.log_batch(run, params=params[start : start + MAX_PARAMS])
        self._bare.discard(run)

    def follow(self, run: str, row: Mapping[str, float], folder: TrialFolder) -> None:
        """Logs the row of an epoch that has just ended; where earlier ones were missed, all rows in the folder."""
        self.log(run, [row] if row["epoch"] <= self._known(run) else folder.rows())

    def log(self, run: str, rows: Sequence[Mapping[str, float]]) -> None:
        """Logs epochs' rows, each once, in as few calls as MLflow's limits allow: one for a single row."""
        known = self._known(run)
        new = [row for row in rows if row["epoch"] >= known]
        at_once = MAX_METRICS // max(map(len, new), default=1)
        for start in range(0, len(new), at_once):
            metrics = [
                Metric(name, float(value), _milliseconds(row["time"]), int(row["epoch"]))
                for row in new[start : start + at_once]
                for name, value in row.items()
                if name not in UNPLOTTED
            ]
            self.client.log_batch(run, metrics)
        self._logged[run] = max([known, *(int(row["epoch"]) + 1 for row in new)])

    def _known(self, run: str) -> int:
        """Returns the number of epochs whose rows the run has."""
        if run not in self._logged:
            history = self.client.get_metric_history(run, "loss")
            self._logged[run] = max((metric.step + 1 for metric in history), default=0)
        return self._logged[run]

    def complete(self, trial: Trial, folder: TrialFolder, parent: str) -> None:
        """Logs whatever the run of a done or failed trial lacks of its folder: curves, scores, pictures, status."""
        recorded = self.recorded.get(trial.identity)
        if recorded == "done":  # a done trial never changes
            return
        status = folder.status
        if status not in ("done", "failed") or status == recorded:
            return
        run = self.begin(trial, parent)
        self.log(run, folder.rows())
        result, failure = folder.result(), folder.failure()
        metrics, tags = [], [RunTag(RECORDED, status)]
        if result is not None:
            for picture in folder.pictures().values():
                self.client.log_artifact(run, str(picture), "pictures")
            stamp, epoch = _milliseconds(time.time()), result["epochs"] - 1
            metrics = [Metric(name, result[name], stamp, epoch) for name in FINAL if result.get(name) is not None]
        elif failure is not None:
            tags.append(RunTag(REASON, failure["reason"][:500]))
        self.client.log_batch(run, metrics=metrics, tags=tags)
        self._end(run, "FINISHED" if status == "done" else "FAILED")
        self.recorded[trial.identity] = status

    def stop(self, run: str) -> None:
        """Ends the run of a trial that was stopped half-way."""
        self._end(run, "KILLED")


def sync(record: Record, parent: str, trials: Sequence[Trial], store: TrialStore) -> int:
    """Logs the done and failed trials that the record lacks, wholly or in part, and ends the sweep's run.

    Returns how many trials were logged. UserError where another sweep has taken over the store.
    """
    before = dict(record.recorded)
    counts = dict.fromkeys(("done", "failed", "missing"), 0)
    for trial in trials:
        store.confirm_held()
        record.complete(trial, store.folder(trial.identity), parent)
        counts[record.recorded.get(trial.identity) or "missing"] += 1
    record.end_sweep(parent, counts)
    return sum(before.get(identity) != status for identity, status in record.recorded.items())


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _milliseconds(seconds: float) -> int:
    return round(1000 * seconds)
