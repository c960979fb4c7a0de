"""Where MLflow is, and whether it answers there."""

from __future__ import annotations

import os
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

from data.errors import UserError
from experiments.secrets import masked
from experiments.settings.config import Config

DEFAULT_URI = "sqlite:///mlflow.db"
ARTIFACTS = Path("mlartifacts")  # where a SQLite file's runs keep their pictures
SERVER_SECONDS = 10.0  # that a tracking server may take to answer


def tracking_uri(config: Config) -> str:
    """Returns where MLflow is: `tracking.uri`, else MLFLOW_TRACKING_URI, else a SQLite file in this folder."""
    return config.params.tracking.uri or os.environ.get("MLFLOW_TRACKING_URI") or DEFAULT_URI


def check_tracking(uri: str) -> None:
    """Raises UserError where a tracking server does not answer, or the folder of a SQLite file is not writable."""
    if uri.startswith(("http://", "https://")):
        try:
            urllib.request.urlopen(f"{uri.rstrip('/')}/health", timeout=SERVER_SECONDS).close()
            _check_host_name(uri)
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise UserError(
                f"the MLflow server {masked(uri)} does not answer ({reason}): start it, or name another place with "
                "MLFLOW_TRACKING_URI or tracking.uri"
            ) from None
    elif uri.startswith("sqlite:///"):
        folder = Path(uri.removeprefix("sqlite:///")).absolute().parent
        if not os.access(folder, os.W_OK):
            raise UserError(f"tracking.uri = {uri!r}: {folder} is not a folder that can be written")


def _check_host_name(uri: str) -> None:
    """Raises UserError where a server refuses requests to the host name in the URI."""
    query = f"{uri.rstrip('/')}/api/2.0/mlflow/experiments/search?max_results=1"
    try:
        urllib.request.urlopen(query, timeout=SERVER_SECONDS).close()
    except urllib.error.HTTPError as error:  # MLflow deals with the others, such as a missing password
        if "Invalid Host header" in error.read().decode(errors="replace"):
            host = urllib.parse.urlsplit(uri).netloc.rpartition("@")[2]
            raise UserError(
                f"the MLflow server does not answer to the name {host}: start it with --allowed-hosts {host}"
            ) from None
