"""A Ray of this process alone: it listens on the loopback address, and asks for a token that nobody else has."""

from __future__ import annotations

import ipaddress
import logging
import os
import resource
import secrets
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType

from data.errors import UserError
from data.signals import sigterm_blocked, sigterm_kept
from data.workers.ray_connection import first_line
from data.workers.ray_internals import (
    agent_on_a_free_port,
    asks_for_token,
    on_loopback_alone,
    raylet_unheard,
    read_environment_again,
    shut_down,
)
from data.workers.scratch import scratch_folder

OBJECT_STORE_BYTES = 80 * 2**20  # almost nothing goes through it; Ray demands at least 75 MiB
ADDRESS_BYTES = 4 * 2**30  # a process that has imported PyTorch has 3.1 GiB, before it does anything
# Environment variables that Ray reads in this process and in those that it starts.
ENVIRONMENT = {
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_task_oom_retries": "1",  # of a task whose process Ray ended for want of memory: Ray's default is for ever
}
ENOUGH = 4096  # open files, or processes
LIMITS = {  # that a shell may set, by the option of `ulimit`: the resource, a unit, and what is enough
    "-v": (resource.RLIMIT_AS, "MiB", None),
    "-f": (resource.RLIMIT_FSIZE, "MiB", None),
    "-n": (resource.RLIMIT_NOFILE, "files", ENOUGH),
    "-u": (resource.RLIMIT_NPROC, "processes", ENOUGH),
}


@contextmanager
def local_ray(cpus: int | None = None, variables: Mapping[str, str] = MappingProxyType({})) -> Iterator[None]:
    """Runs a Ray on this machine for this process alone, without dashboard and usage reports, while the block lasts.

    It listens on the loopback address, whatever was imported before. Its token is made anew, and known to this process
    and its children alone; the environment's own token and mode come back at the end. So do those variables that are
    given, and what SIGTERM does.

    Args:
        cpus: number of CPUs; None for all.
        variables: further environment variables for Ray.

    Raises:
        UserError: Ray cannot be started, with the reason and the limits that this shell sets.
    """
    _check_limits()
    own = {
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        # Without it, a process whose parent is process 1 is ended by Ray as soon as it asks a dead raylet for anything.
        # Ray gives those that it starts the raylet's own.
        "RAY_RAYLET_PID": str(os.getpid()),
    }
    with (
        scratch_folder("ray", Path(os.environ.get("RAY_TMPDIR", tempfile.gettempdir()))) as folder,
        _environment({**ENVIRONMENT, **own, **variables}),
        raylet_unheard(),
    ):
        try:
            with sigterm_kept(), sigterm_blocked(), on_loopback_alone(), agent_on_a_free_port():
                _start(cpus, folder)
            yield
        finally:
            shut_down()


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets environment variables while the block lasts, also for the parts of Ray that have read theirs already."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        read_environment_again()
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        read_environment_again()


def _start(cpus: int | None, folder: Path) -> None:
    import ray

    try:
        ray.init(
            address="local",
            num_cpus=cpus,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.ERROR,
            _temp_dir=str(folder / "r"),  # within: Ray opens it to all users of this machine
        )
        address = ray.util.get_node_ip_address()
    except SystemExit:  # what Ray makes of SIGTERM while it starts
        raise KeyboardInterrupt from None
    except Exception as error:
        if "AF_UNIX" in str(error):
            raise UserError(
                f"{folder.parent} has too long a name for Ray's sockets in it: name another folder with TMPDIR"
            ) from error
        raise UserError(f"Ray does not start on this machine ({first_line(error)}){limits()}") from error
    if not is_loopback(address) or not asks_for_token():
        raise UserError(
            f"Ray {ray.__version__} listens on {address} and asks for a token: {asks_for_token()}; it must listen on "
            "the loopback address and ask for one: install the release in requirements.lock"
        )


def is_loopback(address: str) -> bool:
    """Says whether only this machine can reach an IP address."""
    return ipaddress.ip_address(address).is_loopback


def _check_limits() -> None:
    """Raises UserError where this shell leaves too little to Ray's processes, which would die one after another."""
    needs = {
        "-f": (resource.RLIMIT_FSIZE, "lets files grow to", OBJECT_STORE_BYTES, "needs one of"),
        "-v": (resource.RLIMIT_AS, "lets processes have addresses for", ADDRESS_BYTES, "needs some with"),
    }
    for option, (which, lets, least, needing) in needs.items():
        size, _ = resource.getrlimit(which)
        if size != resource.RLIM_INFINITY and size < least:
            raise UserError(
                f"this shell {lets} {size / 2**20:.0f} MiB (ulimit {option}), and Ray {needing} "
                f"{least / 2**20:.0f} MiB: raise the limit"
            )


def limits() -> str:
    """Returns the low limits that this shell sets on memory, files and processes, as the end of a message."""
    texts = []
    for option, (which, unit, enough) in LIMITS.items():
        value, _ = resource.getrlimit(which)
        if value != resource.RLIM_INFINITY and (enough is None or value < enough):
            texts.append(f"{value / 2**20 if unit == 'MiB' else value:.0f} {unit} (ulimit {option})")
    return f"; this shell sets limits, which may be too low: {', '.join(texts)}" if texts else ""
