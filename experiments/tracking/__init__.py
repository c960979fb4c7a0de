"""MLflow as the record of runs."""
