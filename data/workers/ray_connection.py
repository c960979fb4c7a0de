"""Joins a Ray cluster that runs already."""

from __future__ import annotations

import json
import logging
import os
import socket
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from data.signals import sigterm_kept
from data.workers.code_for_workers import code_folder

KNOCK_SECONDS = 10


def join(address: str, packages: Sequence[str], environment: Mapping[str, str] = MappingProxyType({})) -> str:
    """Makes this process part of the cluster at `address`: `HOST:PORT`, `ray://HOST:PORT` or `auto`.

    Its workers get the code of the named packages of this project, and the environment variables. What the code
    imports must be installed there.

    Returns:
        The address of the cluster's dashboard; "" where it has none.

    Raises:
        ConnectionError: nobody answers there, or this process is refused; with the reason in one line.
    """
    import ray

    try:
        _knock(address)
        with code_folder(*packages) as folder:
            runtime_env: dict[str, Any] = {"env_vars": dict(environment)}
            if not _is_job_with_code():  # its workers have the code already, and Ray takes no second folder
                runtime_env["working_dir"] = str(folder)
            with sigterm_kept():
                context = ray.init(
                    address=address, runtime_env=runtime_env, log_to_driver=False, logging_level=logging.ERROR
                )
    except (OSError, ValueError, RuntimeError) as error:
        raise ConnectionError(first_line(error)) from error
    return f"http://{context.dashboard_url}" if context.dashboard_url else ""


def _is_job_with_code() -> bool:
    """Says whether this process is a job that was sent to a cluster together with a folder of code."""
    config = json.loads(os.environ.get("RAY_JOB_CONFIG_JSON_ENV_VAR", "{}"))
    return "working_dir" in (config.get("runtime_env") or {})


def first_line(error: Exception) -> str:
    """Returns the first line of an error's message, or its type where it has none."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _knock(address: str) -> None:
    """Raises OSError where an address names a host and nobody listens there. Ray itself would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()
