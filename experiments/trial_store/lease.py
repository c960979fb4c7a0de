"""A lease on an object store, which has no locks: one sweep at a time holds it, and proves by beats that it lives."""

from __future__ import annotations

import json
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from data.errors import UserError
from data.remote.filesystems import Place, place_errors_explained

LEASE = "lease.json"
BEAT = 5.0  # seconds between two signs of life of the holder
PATIENCE = 6  # beats without a sign of life after which the holder counts as dead


@contextmanager
def lease(place: Place) -> Iterator[None]:
    """Holds the place while the block lasts, and gives signs of life.

    Another holder counts as alive if its signs change while this process watches: no two machines' clocks are compared.

    Raises:
        UserError: another process holds the place.
    """
    mine = {"id": uuid.uuid4().hex, "host": socket.gethostname()}
    _take(place, mine)
    over = threading.Event()
    thread = threading.Thread(target=_beat, args=(place, mine, over), name="lease", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        with suppress(Exception):  # a lease that is left behind counts as dead for the next process
            if _read(place).get("id") == mine["id"]:
                place.filesystem.rm_file(place.file(LEASE))


def is_held(place: Place) -> bool:
    """Returns whether a process seems to hold the place: the lease is younger than PATIENCE beats."""
    try:
        place.filesystem.invalidate_cache()
        return time.time() - place.filesystem.modified(place.file(LEASE)).timestamp() < PATIENCE * BEAT
    except Exception:  # there is no lease, or this kind of place does not know when it was written
        return False


def _take(place: Place, mine: dict[str, str]) -> None:
    """Makes the lease ours. UserError where another process holds it and lives."""
    with place_errors_explained(place.uri):
        if _created(place, mine):
            return
        print(f"looking whether another sweep is at work on {place.uri}: up to {PATIENCE * BEAT:g} s", flush=True)
        if not _lives(place):
            with suppress(FileNotFoundError):
                place.filesystem.rm_file(place.file(LEASE))
            if _created(place, mine):
                time.sleep(BEAT / 2)  # another process that found it dead at the same time may have removed ours
                if _read(place).get("id") == mine["id"]:
                    return
        holder = _read(place).get("host", "another machine")
    raise UserError(
        f"another sweep is running on {place.uri}, from {holder}: wait for it (`python -m experiments status`), "
        "or name another store with --store"
    )


def _lives(place: Place) -> bool:
    """Returns whether the lease changes, or goes, within PATIENCE beats."""
    before, deadline = _read(place), time.monotonic() + PATIENCE * BEAT
    while time.monotonic() < deadline:
        time.sleep(BEAT / 2)
        if _read(place) != before:
            return True
    return False


def _created(place: Place, mine: dict[str, str]) -> bool:
    """Creates our lease, unless there is one; returns whether it did."""
    try:
        place.filesystem.pipe_file(place.file(LEASE), json.dumps(mine).encode(), mode="create")
    except FileExistsError:
        return False
    except OSError:
        place.filesystem.invalidate_cache()
        if place.filesystem.exists(place.file(LEASE)):  # S3 raises a plain OSError where the object exists
            return False
        raise
    return True


def _read(place: Place) -> dict[str, str]:
    try:
        return json.loads(place.filesystem.cat_file(place.file(LEASE)))
    except (FileNotFoundError, ValueError):
        return {}


def _beat(place: Place, mine: dict[str, str], over: threading.Event) -> None:
    count = 0
    while not over.wait(BEAT):
        count += 1
        with suppress(Exception):  # a missed beat does no harm, and lasting trouble shows when trials send files
            if _read(place).get("id") == mine["id"]:
                place.filesystem.pipe_file(place.file(LEASE), json.dumps({**mine, "beat": count}).encode())
