"""Processes that Ray ends for want of memory, which Ray Tune does not expect."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def kills_taken_as_deaths() -> Iterator[None]:
    """Within the block, Tune takes every error of Ray about a trial's process for the death of that process.

    Ray's memory monitor ends several processes at once, and Ray then answers with an OutOfMemoryError. Tune knows
    ActorDiedError and its kin alone: any other error ends all of its trials.
    """
    from ray.air.execution._internal import actor_manager
    from ray.exceptions import RayActorError, RayError, RayTaskError

    patched: Any = actor_manager.RayActorManager
    original = patched._actor_task_failed

    def failed(manager: Any, tracked_actor_task: Any, exception: Exception) -> None:
        known = not isinstance(exception, RayError) or isinstance(exception, RayActorError | RayTaskError)
        original(manager, tracked_actor_task, exception if known else RayActorError(error_msg=str(exception)))

    patched._actor_task_failed = failed
    try:
        yield
    finally:
        patched._actor_task_failed = original
