"""MLflow's record of a sweep. The trial store is the truth: what is missing here is logged again from it."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from mlflow.utils.validation import MAX_METRICS_PER_BATCH, MAX_PARAMS_TAGS_PER_BATCH

from experiments.errors import UserError
from experiments.grid import Trial, percent, xi_text
from experiments.provenance import revision
from experiments.trials import TrialFolder, TrialStore

for _name in ("alembic", "mlflow.store.db.utils"):
    logging.getLogger(_name).setLevel(logging.WARNING)

PAGE = 1000  # runs fetched at once
UNPLOTTED = {"epoch", "time"}  # entries of a row that are its step and its timestamp
FINAL = ("top1", "top5", "ece", "elbo", "kl_switches", "train_seconds", "test_ms_per_image", "best_epoch", "xi_value")
KIND = {"mlflow.experimentKind": "custom_model_development"}  # which of its views MLflow's page opens with
# Tags of ours: `identity` on a trial's run, `sweep` on its parent, `recorded` once all of a trial is in its run,
# `reason` where it failed.
IDENTITY, SWEEP, RECORDED, REASON = "identity", "sweep", "recorded", "reason"


class Record:
    """The runs of one dataset's experiment: a parent for each sweep, and under it a child for each identity.

    Finds what is there before it makes anything, so no identity ever has two runs. Not for several threads.
    Raises what MLflow raises where the store cannot be reached or written.
    """

    def __init__(self, uri: str, dataset: str, artifacts: Path) -> None:
        self.client = MlflowClient(uri)
        self.experiment = self._experiment(dataset, None if uri.startswith("http") else artifacts)
        self.parents: dict[str, str] = {}
        self.runs: dict[str, str] = {}
        self.recorded: dict[str, str] = {}  # identity -> "done" or "failed"
        self._logged: dict[str, int] = {}  # run -> epochs whose rows it has
        for run in self._all_runs():
            tags = run.data.tags
            if IDENTITY in tags:
                self.runs[tags[IDENTITY]] = run.info.run_id
                self.recorded[tags[IDENTITY]] = tags.get(RECORDED, "")
            elif SWEEP in tags:
                self.parents[tags[SWEEP]] = run.info.run_id

    def _experiment(self, dataset: str, artifacts: Path | None) -> str:
        found = self.client.get_experiment_by_name(dataset)
        if found is None:
            location = artifacts and (artifacts / dataset).absolute().as_uri()
            return self.client.create_experiment(dataset, artifact_location=location, tags=KIND)
        if found.lifecycle_stage != "active":
            raise UserError(
                f"MLflow's experiment {dataset!r} was deleted: bring it back with "
                f"`mlflow experiments restore --experiment-id {found.experiment_id}`"
            )
        return found.experiment_id

    def _all_runs(self) -> Iterable[Any]:
        token = None
        while True:
            page = self.client.search_runs([self.experiment], max_results=PAGE, page_token=token)
            yield from page
            token = page.token
            if not token:
                return

    def sweep(self, name: str, params: Mapping[str, Any]) -> str:
        """The sweep's own run, found by its tag or made; its settings are kept as an artifact."""
        if name not in self.parents:
            tags = {SWEEP: name, "git_sha": revision()["git_sha"]}
            self.parents[name] = self.client.create_run(self.experiment, run_name=name, tags=tags).info.run_id
        run = self.parents[name]
        self.client.update_run(run, status="RUNNING")
        self.client.set_tag(run, "git_sha", revision()["git_sha"])
        self.client.log_dict(run, dict(params), "params.json")
        return run

    def end_sweep(self, run: str, counts: Mapping[str, int]) -> None:
        """Notes how many trials of the sweep are done, failed and missing."""
        stamp = _milliseconds(time.time())
        self.client.log_batch(run, [Metric(name, value, stamp, 0) for name, value in counts.items()])
        self.client.set_terminated(run, "FINISHED" if not counts["missing"] else "KILLED")

    def begin(self, trial: Trial, parent: str) -> str:
        """The trial's run, found by its identity or made under `parent`, now running."""
        run = self.runs.get(trial.identity)
        if run is not None:
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
            MLFLOW_PARENT_RUN_ID: parent,
        }
        made = self.client.create_run(self.experiment, run_name=str(trial), tags=tags)
        run = self.runs[trial.identity] = made.info.run_id
        self._logged[run] = 0
        fields = {**trial.mapping, "xi": xi_text(trial.xi), "labelled": trial.labelled}
        params = [Param(name, str(value)) for name, value in _flat(fields)]
        for start in range(0, len(params), MAX_PARAMS_TAGS_PER_BATCH):
            self.client.log_batch(run, params=params[start : start + MAX_PARAMS_TAGS_PER_BATCH])
        return run

    def log(self, run: str, rows: Sequence[Mapping[str, float]]) -> None:
        """Logs epochs' rows, each once, in as few calls as MLflow allows: one for a single row."""
        if run not in self._logged:
            history = self.client.get_metric_history(run, "loss")
            self._logged[run] = max((metric.step + 1 for metric in history), default=0)
        new = [row for row in rows if row["epoch"] >= self._logged[run]]
        metrics = [
            Metric(name, float(value), _milliseconds(row["time"]), row["epoch"])
            for row in new
            for name, value in row.items()
            if name not in UNPLOTTED
        ]
        for start in range(0, len(metrics), MAX_METRICS_PER_BATCH):
            self.client.log_batch(run, metrics[start : start + MAX_METRICS_PER_BATCH])
        self._logged[run] = max([self._logged[run], *(row["epoch"] + 1 for row in new)])

    def complete(self, trial: Trial, folder: TrialFolder, parent: str) -> None:
        """Brings the run of a done or failed trial level with its folder: curves, numbers, pictures, status."""
        recorded = self.recorded.get(trial.identity)
        if recorded == "done":  # which it is for ever
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
            stamp, epoch = _milliseconds(time.time()), result["best_epoch"]
            metrics = [Metric(name, result[name], stamp, epoch) for name in FINAL if result[name] is not None]
        elif failure is not None:
            tags.append(RunTag(REASON, failure["reason"][:500]))
        self.client.log_batch(run, metrics=metrics, tags=tags)
        self.client.set_terminated(run, "FINISHED" if status == "done" else "FAILED")
        self.recorded[trial.identity] = status

    def stop(self, run: str) -> None:
        """Marks a run as stopped half-way."""
        self.client.set_terminated(run, "KILLED")


def sync(record: Record, parent: str, trials: Sequence[Trial], store: TrialStore) -> int:
    """Logs all of the store's done and failed trials that the record lacks, or has in part, and ends the sweep's run.

    Returns how many trials were logged.
    """
    before = dict(record.recorded)
    counts = dict.fromkeys(("done", "failed", "missing"), 0)
    for trial in trials:
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
