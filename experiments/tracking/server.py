"""Where MLflow is, and whether it can record there; looked at before any work begins."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import entry_points
from pathlib import Path
from urllib.parse import urlsplit

from data.errors import UserError
from data.secrets import masked
from experiments import databases
from experiments.settings.config import Config
from experiments.tracking import mlflow_database

DEFAULT_URI = "sqlite:///mlflow.db"
ARTIFACTS = Path("mlartifacts")  # where a SQLite file's runs keep their pictures
SERVER_SECONDS = 10.0  # that a tracking server may take to answer
HTTP = ("http", "https")
DATABASE_SERVERS = ("postgresql", "mysql", "mssql")
DATABRICKS = ("databricks", "databricks-uc", "uc")
ELSEWHERE = "name another place with MLFLOW_TRACKING_URI or tracking.uri"


def tracking_uri(config: Config) -> str:
    """Returns where MLflow is: `tracking.uri`, else MLFLOW_TRACKING_URI, else a SQLite file in this folder."""
    return config.params.tracking.uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def check_tracking(uri: str) -> None:
    """Raises UserError where MLflow cannot record at the URI: the place and the remedy, without secrets.

    A database or a server that does not answer, a file that is damaged, locked or of another version, and a place that
    MLflow no longer records in are told. A SQLite file that MLflow was ended on while it made it is set aside.
    """
    scheme = uri.partition(":")[0].partition("+")[0].lower()
    if scheme in HTTP:
        _check_server(uri)
    elif scheme == "sqlite":
        mlflow_database.check_database(mlflow_database.sqlite_path(uri))
    elif scheme in DATABASE_SERVERS:
        _check_database_server(uri)
    elif scheme in DATABRICKS or scheme in {plugin.name for plugin in entry_points(group="mlflow.tracking_store")}:
        _ask_mlflow(uri)
    else:
        raise UserError(
            f"MLflow cannot record at {masked(uri)!r}: name a server (http://HOST:5000), a SQLite file "
            "(sqlite:///mlflow.db) or a database (postgresql://…) with MLFLOW_TRACKING_URI or tracking.uri; "
            "`mlflow migrate-filestore` brings the runs of a folder into one"
        )


@contextmanager
def mlflow_errors_explained(uri: str) -> Iterator[None]:
    """Turns an error of MLflow, or of the database beneath it, into a UserError of one line without secrets."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError) as error:
        raise UserError(f"MLflow at {masked(uri)} cannot be used ({databases.reason(error, uri)})") from error


def _ask_mlflow(uri: str) -> None:
    """Lets MLflow itself read at the URI, for which it is imported, which takes seconds."""
    from mlflow import MlflowClient

    with mlflow_errors_explained(uri):
        MlflowClient(uri).search_experiments(max_results=1)


def _check_server(uri: str) -> None:
    import requests

    place = uri.rstrip("/")
    try:
        requests.get(f"{place}/health", timeout=SERVER_SECONDS).raise_for_status()
        answer = requests.get(
            f"{place}/api/2.0/mlflow/experiments/search", params={"max_results": 1}, timeout=SERVER_SECONDS
        )
    except (requests.RequestException, ValueError) as error:
        raise UserError(
            f"the MLflow server {masked(uri)} does not answer ({databases.reason(error, uri)}): start it, or "
            f"{ELSEWHERE}"
        ) from None
    if "Invalid Host header" in answer.text:
        host = urlsplit(uri).netloc.rpartition("@")[2]
        raise UserError(f"the MLflow server does not answer to the name {host}: start it with --allowed-hosts {host}")
    if answer.status_code in (401, 403):
        _check_credentials(uri)
    elif not answer.ok:
        status = f"{answer.status_code} {answer.reason}"
        raise UserError(f"{masked(uri)} answers, but not as an MLflow server does ({status}): {ELSEWHERE}")


def _check_credentials(uri: str) -> None:
    """Asks MLflow, which knows every way of showing credentials, where a server wants some."""
    try:
        _ask_mlflow(uri)
    except UserError as error:
        raise UserError(
            f"{error}: set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        ) from error


def _check_database_server(uri: str) -> None:
    """Connects to a database server, and looks whether the tables there are those of this MLflow."""
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    try:
        url = sqlalchemy.make_url(uri)
        timeout = {} if url.get_backend_name() == "mssql" else {"connect_timeout": databases.CONNECT_SECONDS}
        engine = sqlalchemy.create_engine(
            url, poolclass=sqlalchemy.NullPool, connect_args={} if "connect_timeout" in url.query else timeout
        )
        with engine.connect() as connection:
            found = None
            if sqlalchemy.inspect(connection).has_table("alembic_version"):
                found = connection.scalar(sqlalchemy.text("SELECT version_num FROM alembic_version"))
    except ImportError as error:
        raise UserError(f"MLflow's database {masked(uri)} needs a driver that is not installed ({error})") from None
    except (SQLAlchemyError, ValueError) as error:
        raise UserError(
            f"MLflow's database {masked(uri)} does not answer ({databases.reason(error, uri)}): see that the server "
            f"runs and lets you in, or {ELSEWHERE}"
        ) from None
    head, _ = mlflow_database.schema()
    if found not in (None, head):
        raise UserError(
            f"MLflow's database {masked(uri)} has the schema {found}, and this MLflow wants {head}: copy the database, "
            "and then run `mlflow db upgrade` with its URL"
        )
