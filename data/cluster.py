"""Ray: a cluster that runs already, joined, or found soon not to be there; or one of this process's own."""

from __future__ import annotations

import json
import logging
import os
import socket
import tempfile
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from data.errors import UserError
from data.shipping import code_folder

KNOCK_SECONDS = 10
OBJECT_STORE_BYTES = 80 * 2**20  # next to nothing goes through it; Ray asks for 75 MiB at least
# Read by a Ray of this process's own when it starts.
ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # as on those systems, Ray then listens on the loopback address only
    "RAY_USAGE_STATS_ENABLED": "0",
}


def start(cpus: int | None = None) -> None:
    """Starts a Ray on this machine alone, with so many CPUs or all of them: no dashboard, nothing reported home.

    UserError where the folder for temporary files has too long a name for its sockets.
    """
    os.environ.update(ENVIRONMENT)
    import ray

    try:
        ray.init(
            address="local",
            num_cpus=cpus,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except OSError as error:
        if "AF_UNIX" not in str(error):
            raise
        raise UserError(
            f"{tempfile.gettempdir()} has too long a name for Ray's sockets in it: name another folder with TMPDIR"
        ) from error


def join(address: str, packages: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})) -> str:
    """Makes this process part of the cluster at `address`: `HOST:PORT`, `ray://HOST:PORT` or `auto`. Returns where its
    dashboard is, "" where it has none.

    Its workers get the code of those of the project's packages, and the environment variables; what the code imports
    must be installed there. ConnectionError, with the reason in one line, where nobody answers there or this process
    is refused.
    """
    import ray

    try:
        _knock(address)
        with code_folder(*packages) as folder:
            runtime_env: dict[str, Any] = {"env_vars": dict(environment)}
            if not _is_job_with_code():  # whose workers have it already, and Ray takes no second one
                runtime_env["working_dir"] = str(folder)
            found = ray.init(address=address, runtime_env=runtime_env, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConnectionError(first_line(error)) from error
    return f"http://{found.dashboard_url}" if found.dashboard_url else ""


def _is_job_with_code() -> bool:
    """Whether this process is a job that was sent to a cluster together with a folder of code."""
    config = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}"))
    return "working_dir" in (config.get("runtime_env") or {})


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _knock(address: str) -> None:
    """OSError where an address names a host and nobody listens there: Ray itself would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()
