"""A store with trials that MLflow does not know yet."""

from pathlib import Path

import pytest

from experiments.settings.config import load
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
