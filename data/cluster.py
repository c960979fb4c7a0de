"""Joining a running Ray cluster, or finding soon that there is none."""

from __future__ import annotations

import logging
import socket
from typing import Any

KNOCK_SECONDS = 10


def join(address: str, runtime_env: dict[str, Any]) -> None:
    """Makes this process part of the cluster at `address`: `HOST:PORT`, `ray://HOST:PORT` or `auto`.

    `runtime_env` is what its workers are given, as `ray.init` takes it. ConnectionError, with the reason in one line,
    where nobody answers there or this process is refused.
    """
    import ray

    try:
        _knock(address)
        ray.init(address=address, runtime_env=runtime_env, log_to_driver=False, logging_level=logging.ERROR)
    except (OSError, ValueError, RuntimeError) as error:
        raise ConnectionError(first_line(error)) from error


def first_line(error: Exception) -> str:
    """What an error says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _knock(address: str) -> None:
    """OSError where an address names a host and nobody listens there: Ray itself would try for minutes."""
    host, _, port = address.rpartition("://")[2].rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=KNOCK_SECONDS).close()
