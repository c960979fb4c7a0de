"""Switches usage reports of Ray and MLflow off before either is imported, here and in every process started here."""

from __future__ import annotations

import os

SWITCHES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}

os.environ.update(SWITCHES)
