"""Nothing is reported home: switched off before Ray or MLflow is imported, here and in every process started here."""

from __future__ import annotations

import os

SWITCHES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "DO_NOT_TRACK": "true",
}

os.environ.update(SWITCHES)
