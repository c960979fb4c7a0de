"""Logs a search to MLflow while it runs, from a thread of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from experiments.search.optuna_study import Study
from experiments.search.protocol import Setting
from experiments.settings.config import Config
from experiments.tracking.mlflow_thread import Notes
from experiments.tracking.server import ARTIFACTS, tracking_uri
from experiments.trial_store.folders import TrialStore

if TYPE_CHECKING:
    from experiments.search.mlflow_runs import SearchRecord


class SearchTracker(Notes):
    """Logs the settings of one study; what it misses, the next search of the system logs."""

    def __init__(self, config: Config, study: Study, store: TrialStore) -> None:
        self._config, self._study, self._store = config, study, store
        super().__init__(tracking_uri(config))

    def update(self, setting: Setting) -> None:
        """Logs what is newly known of the setting."""
        protocol = self._study.protocol
        self.put(lambda record, parent: record.setting(setting, protocol.system, protocol.name, parent))

    def confirm(self) -> None:
        self._store.confirm_held()

    def open(self) -> tuple[SearchRecord, str]:
        from experiments.search.mlflow_runs import SearchRecord

        protocol = self._study.protocol
        record = SearchRecord(self.uri, f"{self._config.dataset}-search", ARTIFACTS)
        params = {
            "budget": protocol.budget,
            "proportions": protocol.proportions,
            "repetitions": protocol.repetitions,
            "objectives": protocol.objectives,
            "space": {name: dimension.plain() for name, dimension in protocol.space.items()},
            "settings": self._config.settings[protocol.system].model_dump(mode="json"),
        }
        return record, record.sweep(protocol.name, params)

    def finish(self, record: SearchRecord, parent: str) -> None:
        protocol, settings = self._study.protocol, self._study.settings()
        states = [setting.state for setting in settings]
        for setting in settings:
            record.setting(setting, protocol.system, protocol.name, parent)
            if setting.state == "running":
                record.halt(setting, protocol.name)
        counts = {state: states.count(state) for state in ("complete", "pruned", "failed")}
        record.end_sweep(parent, {**counts, "missing": self._study.left})
