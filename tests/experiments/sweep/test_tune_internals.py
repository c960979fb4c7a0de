"""A release of Ray that changes what a sweep relies on is noticed here."""

import pytest
from ray.tune.experiment import Trial

from experiments.sweep.tune_internals import forgive_failure


@pytest.fixture
def failed(tmp_path, monkeypatch):
    """One of Tune's trials that may fail once, and has."""
    monkeypatch.setattr(Trial, "local_path", str(tmp_path))  # Tune's own is in the session of a running Ray
    trial = Trial("never registered", stub=True, max_failures=1, trial_id="1")
    trial.handle_error(RuntimeError("its node has died"))
    return trial


def test_a_failure_is_counted_by_tune(failed):
    assert failed.num_failures == 1
    failed.handle_error(RuntimeError("again"))
    assert failed.num_failures == 2
    assert not failed.should_recover()


def test_a_forgiven_failure_is_not_counted(failed):
    forgive_failure(failed)
    assert failed.num_failures == 0
    failed.handle_error(RuntimeError("again"))
    assert failed.should_recover()
