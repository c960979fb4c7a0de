"""MLflow's record of searches: a parent run for each study, under it one run for each setting."""

from __future__ import annotations

import statistics
import time

from mlflow.entities import Metric, Param, RunTag
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from experiments.provenance import revision
from experiments.search.protocol import Setting
from experiments.tracking.record import IDENTITY, REASON, RECORDED, Record

STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}


class SearchRecord(Record):
    """The runs of a dataset's searches. A setting's identity is its study and its number."""

    def setting(self, setting: Setting, system: str, study: str, parent: str) -> None:
        """Brings the setting's run level with it: one metric a cell, its step the cell's number, then score and state.

        What is there is not logged again, so it may be called as often as is convenient.
        """
        identity = f"{study}/{setting.number}"
        if self.recorded.get(identity) == setting.state:
            return
        run = self.runs.get(identity) or self._begin(setting, identity, system, parent)
        if run not in self._logged:
            self._logged[run] = len(self.client.get_metric_history(run, "cell"))
        stamp = round(1000 * time.time())
        metrics = []
        for step in range(self._logged[run], len(setting.cells)):
            metrics.append(Metric("cell", setting.cells[step], stamp, step))
            metrics.append(Metric("mean", statistics.fmean(setting.cells[: step + 1]), stamp, step))
        self.client.log_batch(run, metrics=metrics)
        self._logged[run] = max(self._logged[run], len(setting.cells))
        if setting.state in STATUS:
            tags = [RunTag(RECORDED, setting.state), RunTag("state", setting.state)]
            if setting.reason:
                tags.append(RunTag(REASON, setting.reason[:500]))
            last = [Metric("seconds", setting.seconds, stamp, 0)]
            if setting.score is not None:
                last.append(Metric("score", setting.score, stamp, 0))
            if setting.cost is not None:
                last.append(Metric("operations", setting.cost, stamp, 0))
            self.client.log_batch(run, metrics=last, tags=tags)
            self._end(run, STATUS[setting.state])
            self.recorded[identity] = setting.state
        else:
            self.client.update_run(run, status="RUNNING")

    def _begin(self, setting: Setting, identity: str, system: str, parent: str) -> str:
        tags = {
            IDENTITY: identity,
            "system": system,
            "setting": str(setting.number),
            "origin": setting.origin,
            "git_sha": revision()["git_sha"],
            MLFLOW_PARENT_RUN_ID: parent,
        }
        run = self.runs[identity] = self._create(f"{system} setting {setting.number}", tags)
        self.client.log_batch(run, params=[Param(name, str(value)) for name, value in setting.params.items()])
        return run

    def halt(self, setting: Setting, study: str) -> None:
        """Marks the run of a setting that was left half-way as stopped."""
        run = self.runs.get(f"{study}/{setting.number}")
        if run is not None:
            self.stop(run)
