"""What this project does with parts of Ray that Ray does not document. A new release of Ray may change them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any


@contextmanager
def on_loopback_alone() -> Iterator[None]:
    """A Ray that is started in the block listens on the loopback address alone, as on Windows and macOS.

    The environment variable for that, RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER, is read when `ray` is first imported, which
    may have happened already.
    """
    from ray._private import ray_constants

    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


@contextmanager
def agent_on_a_free_port() -> Iterator[None]:
    """The agent of a Ray that is started in the block takes any free port, where `ray.init` offers no choice.

    Its fixed port, 52365, is that of a cluster's node too: of two, the second node's agent would take no jobs.
    """
    from ray._private import parameter

    own: Any = parameter  # a name of a class cannot be set in the eyes of a type checker
    original = own.RayParams
    own.RayParams = partial(original, dashboard_agent_listen_port=0)
    try:
        yield
    finally:
        own.RayParams = original


def read_environment_again() -> None:
    """Makes Ray read its environment variables as they are now, also its token: it does so once in a process."""
    from ray import _raylet

    compiled: Any = _raylet  # Ray's stubs leave most of it out
    compiled.Config.initialize("")
    compiled.AuthenticationTokenLoader.instance().reset_cache()


def asks_for_token() -> bool:
    """Says whether a Ray that this process starts or has started asks for a token."""
    from ray import _raylet

    compiled: Any = _raylet
    return compiled.get_authentication_mode() == compiled.AuthenticationMode.TOKEN


@contextmanager
def raylet_unheard() -> Iterator[None]:
    """Within the block, Ray does not print what its raylet says of dead processes, which may be pages."""
    from ray._private import worker

    original = worker.print_to_stdstream

    def printed(data: dict[str, Any], ignore_prefix: bool) -> None:
        if data.get("pid") != "raylet":
            original(data, ignore_prefix)

    worker.print_to_stdstream = printed
    try:
        yield
    finally:
        worker.print_to_stdstream = original


def dead_servers() -> list[str]:
    """Returns which of the servers that nothing works without have died, of a Ray that this process has started."""
    from ray._private import worker

    node: Any = worker._global_node
    return [name for name, _ in (node.dead_processes() if node else []) if name in ("gcs_server", "raylet")]


def shut_down() -> None:
    """Ends this process's part of Ray, and the Ray that it has started, whose servers take no SIGTERM.

    Where a server has died, the others are ended alone. This process's part stays as it is: what asks for anything
    once that has ended, as objects of Ray do when they are collected, ends the whole process.
    """
    import ray
    from ray._private import worker

    node: Any = worker._global_node
    if node:
        node.kill_all_processes = partial(_kill, node.kill_all_processes)
    if dead_servers():
        node.kill_all_processes(check_alive=False, wait=True)
    else:
        ray.shutdown()


def _kill(kill: Callable[..., None], check_alive: bool, allow_graceful: bool = False, wait: bool = False) -> None:
    kill(check_alive, allow_graceful=False, wait=wait)
