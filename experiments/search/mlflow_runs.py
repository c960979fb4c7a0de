"""MLflow's record of searches: a parent run for each study, and under it a run for each setting."""

from __future__ import annotations

import statistics
import time

from mlflow.entities import Metric, Param, RunTag

from experiments.provenance import revision
from experiments.search.protocol import Setting
from experiments.tracking.mlflow_runs import IDENTITY, PARENT, REASON, RECORDED, Record

STATUS = {"complete": "FINISHED", "pruned": "FINISHED", "failed": "FAILED"}


class SearchRecord(Record):
    """The runs of a dataset's searches. The identity of a setting is its study and its number."""

    def setting(self, setting: Setting, system: str, study: str, parent: str) -> None:
        """Logs whatever the setting's run lacks: a metric for each cell, whose step is the cell's number, score, state.

        Nothing is logged twice, so this may be called whenever something is known.
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
            PARENT: parent,
        }
        run = self.runs[identity] = self._create(f"{system} setting {setting.number}", tags)
        self.client.log_batch(run, params=[Param(name, str(value)) for name, value in setting.params.items()])
        return run

    def halt(self, setting: Setting, study: str) -> None:
        """Ends the run of a setting that was stopped half-way."""
        run = self.runs.get(f"{study}/{setting.number}")
        if run is not None:
            self.stop(run)
