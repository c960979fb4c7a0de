"""Holding an object store for one sweep at a time, where there are no locks."""

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
BEAT = 5.0  # seconds between two signs of life of the one that holds it
PATIENCE = 6  # beats without a sign after which its holder is taken for dead


@contextmanager
def lease(place: Place) -> Iterator[None]:
    """Holds the place while the block lasts, giving signs of life. UserError where another process does so.

    Whether a holder lives is seen by watching for its signs, not by anybody's clock.
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
        with suppress(Exception):  # left behind, it is found dead by the next one
            if _read(place).get("id") == mine["id"]:
                place.filesystem.rm_file(place.file(LEASE))


def is_held(place: Place) -> bool:
    """Whether a process seems to hold the place: the lease is younger than its holder may be silent."""
    try:
        place.filesystem.invalidate_cache()
        return time.time() - place.filesystem.modified(place.file(LEASE)).timestamp() < PATIENCE * BEAT
    except Exception:  # there is none, or this kind of place does not say when
        return False


def _take(place: Place, mine: dict[str, str]) -> None:
    with place_errors_explained(place.uri):
        if _created(place, mine):
            return
        print(f"looking whether another sweep is at work on {place.uri}: up to {PATIENCE * BEAT:g} s", flush=True)
        if not _lives(place):
            with suppress(FileNotFoundError):
                place.filesystem.rm_file(place.file(LEASE))
            if _created(place, mine):
                time.sleep(BEAT / 2)  # somebody who found it dead at the same time may have removed ours
                if _read(place).get("id") == mine["id"]:
                    return
        holder = _read(place).get("host", "another machine")
    raise UserError(
        f"another sweep is running on {place.uri}, from {holder}: wait for it (`python -m experiments status`), "
        "or name another store with --store"
    )


def _lives(place: Place) -> bool:
    """Whether the holder gives a sign of life, or lets go, soon."""
    before, deadline = _read(place), time.monotonic() + PATIENCE * BEAT
    while time.monotonic() < deadline:
        time.sleep(BEAT / 2)
        if _read(place) != before:
            return True
    return False


def _created(place: Place, mine: dict[str, str]) -> bool:
    """Makes the lease ours, unless there is one."""
    try:
        place.filesystem.pipe_file(place.file(LEASE), json.dumps(mine).encode(), mode="create")
    except FileExistsError:
        return False
    except OSError:
        place.filesystem.invalidate_cache()
        if place.filesystem.exists(place.file(LEASE)):  # as S3 says that it is there already
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
        with suppress(Exception):  # a beat that is missed is no harm, and the trials' own files will tell of the rest
            if _read(place).get("id") == mine["id"]:
                place.filesystem.pipe_file(place.file(LEASE), json.dumps({**mine, "beat": count}).encode())
