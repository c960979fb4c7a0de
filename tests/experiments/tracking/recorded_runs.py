"""What MLflow has recorded in the database of this folder."""

from pathlib import Path

from mlflow import MlflowClient


def all_runs():
    client = MlflowClient(f"sqlite:///{Path.cwd()}/mlflow.db")
    experiment = client.get_experiment_by_name("mnist-5k")
    return client, client.search_runs([experiment.experiment_id])
