"""Usage statistics are off."""

import os

import experiments  # noqa: F401


def test_nothing_is_reported_home():
    assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert os.environ["DO_NOT_TRACK"] == "true"
