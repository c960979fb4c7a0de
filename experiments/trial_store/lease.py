"""A lease on an object store, which has no locks: one sweep at a time holds it, and proves by beats that it lives.

The lease is an object with its holder's id and a count of its beats. Each holder's id begins with a number, its
generation, which is one above that of the holder whom it succeeded. On S3 the lease is made and renewed by conditional
writes, so nobody writes over a successor. Other filesystems read it first; if a write comes too late all the same, the
higher generation wins.

A process may be stopped, or its machine sleep, for longer than others wait for a sign of life from it. So a holder
trusts its lease only for as long after the last beat as nobody can have taken it over; then it looks before it goes on.
"""

from __future__ import annotations

import _thread
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from data.errors import RunFailed, UserError
from data.remote.filesystems import Place, place_errors_explained
from experiments.trial_store.holder import (
    LEASE,
    Content,
    generation,
    is_conditional,
    is_lost,
    name,
    read,
    remove,
    write,
)
from experiments.trial_store.objects import repeatedly

BEAT = 5.0  # seconds between two signs of life of the holder
PATIENCE = 6  # beats without a sign of life after which the holder counts as dead
TRUST = PATIENCE - 1  # beats for which a holder that cannot renew its lease still relies on it
_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)  # it goes on while the machine sleeps


class Superseded(RunFailed):
    """Another sweep has taken over the store of this one, which ends and writes nothing more."""


class Lease:
    """A place that is held by this process, from `take` on.

    Attributes:
        id: what tells this holder from all others.
        lost: why the place is no longer held, and never will be again; empty while it is.
    """

    def __init__(self, place: Place) -> None:
        self.id = ""
        self.lost = ""
        self._place = place
        self._content: Content = {}
        self._renewed_at = 0.0
        self._lock = threading.Lock()

    def take(self) -> None:
        """Makes the place ours.

        Another holder counts as alive if its signs change while this process watches: no two machines' clocks are
        compared. Raises UserError where another process holds the place, or it cannot be written.
        """
        self._sign(1)
        started = _now()
        if not repeatedly(self._place, lambda: write(self._place, self._content, {}, "")):
            print(f"looking whether another sweep is at work on {self._place}: up to {PATIENCE * BEAT:g} s", flush=True)
            there, tag = _last_sign(self._place)
            self._sign(generation(there) + 1)
            started = _now()
            if not repeatedly(self._place, lambda: self._succeed(there, tag)):
                raise _occupied(self._place, repeatedly(self._place, lambda: read(self._place))[0])
        self._renewed_at = started

    def _sign(self, number: int) -> None:
        self.id = f"{number}-{uuid.uuid4().hex}"
        self._content = {"id": self.id, "host": socket.gethostname(), "process": os.getpid(), "beat": 0}

    def _succeed(self, there: Content, tag: str) -> bool:
        """Replaces the lease of a dead holder; returns False where another process was faster."""
        if is_conditional(self._place):
            return write(self._place, self._content, there, tag)
        if (found := read(self._place)[0]) not in (there, self._content):
            return False
        if found == there:
            with suppress(FileNotFoundError):
                self._place.filesystem.rm_file(self._place.file(LEASE))
            if not write(self._place, self._content, {}, ""):
                return False
        time.sleep(BEAT / 2)  # another process that found it dead at the same time may have removed ours
        return read(self._place)[0] == self._content

    def confirm(self) -> None:
        """Makes sure that the place is still held. It costs a request only where beats were missed.

        Raises Superseded where another holds it, and whatever the filesystem raises where that cannot be found out.
        """
        if self.lost or _now() - self._renewed_at > TRUST * BEAT:
            self.renew()

    def renew(self) -> None:
        """Gives a sign of life; raises as `confirm` does."""
        with self._lock:
            if self.lost:
                raise Superseded(self.lost)
            started, written = _now(), False
            while not written:  # again where an earlier request of ours came late
                there, tag = read(self._place)
                if is_lost(there, self.id):
                    raise self._lose(there)
                self._content = {**self._content, "beat": int(self._content["beat"]) + 1}
                written = write(self._place, self._content, there, tag)
            if _now() - started > TRUST * BEAT:
                time.sleep(2 * BEAT)  # a successor that came before an unconditional write writes again
                if (there := read(self._place)[0]) != self._content:
                    raise self._lose(there)
            self._renewed_at = started

    def _lose(self, there: Content) -> Superseded:
        lost = _superseded(self._place, there)
        self.lost = str(lost)
        return lost

    def release(self) -> None:
        """Removes the lease, if it is ours; one that is left behind counts as dead for the next process."""

        def remove_ours() -> None:
            there, tag = read(self._place)
            if there.get("id") == self.id:
                remove(self._place, tag)

        with suppress(Exception), self._lock:
            repeatedly(self._place, remove_ours)


@contextmanager
def lease(place: Place, on_loss: Callable[[], None] = _thread.interrupt_main) -> Iterator[Lease]:
    """Holds the place while the block lasts, and gives signs of life from a thread.

    Args:
        place: what to hold.
        on_loss: is called in the thread once the place is lost; by default it interrupts the block as SIGINT does.

    Raises:
        UserError: another process holds the place.
        Superseded: another process has taken it over.
    """
    held = Lease(place)
    with place_errors_explained(place.uri):
        held.take()
    over, leaving = threading.Event(), threading.Lock()

    def beat() -> None:
        while not over.wait(BEAT):
            with suppress(Exception):  # a missed beat does no harm while the lease is trusted
                held.renew()
            with leaving:
                if held.lost and not over.is_set():
                    over.set()
                    on_loss()

    thread = threading.Thread(target=beat, name="lease", daemon=True)
    thread.start()
    try:
        try:
            yield held
        finally:
            with leaving:
                over.set()
            thread.join()
            held.release()
    except KeyboardInterrupt:
        if held.lost:
            raise Superseded(held.lost) from None
        raise


def ensure_held_by(place: Place, holder: str) -> None:
    """Raises Superseded unless the place is held under the id `holder`, and what its filesystem raises."""
    there, _ = read(place)
    if is_lost(there, holder):
        raise _superseded(place, there)


def is_held(place: Place) -> bool:
    """Returns whether a process seems to hold the place: the lease is younger than PATIENCE beats."""
    try:
        place.filesystem.invalidate_cache()
        return time.time() - place.filesystem.modified(place.file(LEASE)).timestamp() < PATIENCE * BEAT
    except Exception:  # there is no lease, or this kind of place does not know when it was written
        return False


def _now() -> float:
    return time.clock_gettime(_CLOCK)


def _last_sign(place: Place) -> tuple[Content, str]:
    """Returns the lease of a dead holder and its entity tag. UserError where it changes, or goes, while we watch."""
    before = repeatedly(place, lambda: read(place))
    deadline = time.monotonic() + PATIENCE * BEAT
    while time.monotonic() < deadline:
        time.sleep(BEAT / 2)
        now = repeatedly(place, lambda: read(place))
        if now[0] != before[0]:
            raise _occupied(place, now[0])
    return before


def _occupied(place: Place, there: Content) -> UserError:
    return UserError(
        f"another sweep is running on {place}, from {name(there)}: wait for it "
        "(`python -m experiments status`), or name another store with --store"
    )


def _superseded(place: Place, there: Content) -> Superseded:
    now = f"{name(there)} has it now" if there else f"its {LEASE} is gone, so that one has ended"
    return Superseded(
        f"another sweep has taken over {place} while this one stood still: {now}. This one has ended and writes "
        "nothing more; what it had done is kept there (`python -m experiments status`)"
    )
