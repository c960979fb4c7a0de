"""One file over HTTP, in as many goes as it takes: what has come is never asked for twice."""

from __future__ import annotations

import contextlib
import random
import re
import threading
from collections.abc import Iterator

import requests
import urllib3
from urllib3.util import Retry

from data.disk_space import readable
from data.official.partial_files import Partial, Stopped, TooLong
from data.progress import progress

TIMEOUT = 30  # seconds without a byte from a mirror
RETRIES = 4  # further tries of a mirror that gives nothing, with growing pauses, before the next one
LONGEST_PAUSE = 60  # seconds between two tries of our own accord
PATIENCE = 300  # seconds that we wait when a mirror asks us to
PIECE = 1 << 16  # bytes at most between two looks at whether to stop
GAIN = 1 << 20  # bytes that make up for earlier failures

# Answers that asking again may change: the server is overloaded, restarts, or counts our requests.
PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})


class Unavailable(LookupError):
    """What a mirror was asked for is not to be had there, and asking again will not help."""


class _Broken(Exception):
    """What may be better next time; not before `wait` seconds have passed."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def transfer(address: str, partial: Partial, slot: int, stop: threading.Event) -> None:
    """Makes a file whole from one address, going on where it ends; whether it is right is for the caller to see.

    Unavailable, with the reason, where that cannot be done; Stopped, soon after `stop` was set.
    """
    failures = 0
    while not partial.whole:
        before = partial.size
        try:
            _go(address, partial, slot, stop)
        except _Broken as error:
            failures = 0 if partial.size - before >= GAIN else failures + 1
            if failures > RETRIES:
                raise Unavailable(str(error)) from error
            if stop.wait(max(error.wait, _pause(failures))):
                raise Stopped from None


def _pause(failures: int) -> float:
    """Seconds to wait: about twice as long each time, at random, lest many clients come back at once."""
    return min(LONGEST_PAUSE, 2.0**failures) * random.uniform(0.5, 1.0)


def _go(address: str, partial: Partial, slot: int, stop: threading.Event) -> None:
    """One request and as much as it brings."""
    with (
        _answer(address, partial) as answer,
        progress(partial.file.size, f"downloading {partial.file.name}", "B", slot, partial.size) as bar,
    ):
        for piece in _pieces(answer):
            if stop.is_set():
                raise Stopped
            try:
                partial.append(piece)
            except TooLong:
                partial.restart()
                raise Unavailable(f"it sends more than the {readable(partial.file.size)} of the file") from None
            bar.update(len(piece))
    if not partial.whole:
        raise _Broken("the transfer broke off")


@contextlib.contextmanager
def _answer(address: str, partial: Partial) -> Iterator[requests.Response]:
    """The answer that brings what is lacking, or everything where the part that is here cannot be continued."""
    answer = _asked(address, partial)
    with contextlib.ExitStack() as stack:
        stack.callback(answer.close)
        misfit = answer.status_code == 206 and not _fits(answer, partial, address)
        if partial.size and (misfit or answer.status_code == 416):
            partial.restart()
            answer = _asked(address, partial)
            stack.callback(answer.close)
        _check(answer, partial, address)
        if answer.status_code == 200 and partial.size:
            partial.restart()
        partial.comes_from(address, answer.headers)
        yield answer


def _asked(address: str, partial: Partial) -> requests.Response:
    """What a mirror answers when asked for the bytes that are lacking, as they are."""
    headers = {"Accept-Encoding": "identity"}
    if partial.size:
        headers["Range"] = f"bytes={partial.size}-"
        if sign := partial.sign(address):
            headers["If-Range"] = sign
    try:
        return requests.get(address, headers=headers, stream=True, timeout=TIMEOUT)
    except requests.Timeout as error:
        raise _Broken(f"no answer within {TIMEOUT} seconds") from error
    except requests.exceptions.SSLError as error:
        raise _Broken("no secure connection") from error
    except requests.ConnectionError as error:
        raise _Broken("no connection") from error
    except requests.RequestException as error:
        raise Unavailable(str(error)) from error


def _fits(answer: requests.Response, partial: Partial, address: str) -> bool:
    """Whether a part begins where ours ends, and is of the same version of the file."""
    part = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", answer.headers.get("Content-Range", "").strip())
    return (
        part is not None
        and int(part[1]) == partial.size
        and int(part[2]) < partial.file.size
        and part[3] in ("*", str(partial.file.size))
        and not partial.changed(address, answer.headers)
    )


def _check(answer: requests.Response, partial: Partial, address: str) -> None:
    """Unavailable or _Broken where the answer does not bring the file."""
    refusal = f"it answers {answer.status_code} {answer.reason}"
    if answer.status_code in PASSING:
        wait = _asked_to_wait(answer)
        if wait > PATIENCE:
            raise Unavailable(f"{refusal} and wants us back in {wait:.0f} seconds")
        raise _Broken(refusal, wait)
    if answer.status_code == 206 and _fits(answer, partial, address):
        return
    if answer.status_code != 200:
        raise Unavailable(refusal)
    length = answer.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) != partial.file.size:
        raise Unavailable(f"it sends {length} bytes, the official file has {partial.file.size}")


def _asked_to_wait(answer: requests.Response) -> float:
    """The seconds of a Retry-After, given as a number or a date; 0 without one."""
    try:
        return Retry().parse_retry_after(answer.headers["Retry-After"])
    except (KeyError, urllib3.exceptions.InvalidHeader):
        return 0.0


def _pieces(answer: requests.Response) -> Iterator[bytes]:
    """The body as it arrives, and as it is: a server may call a `.gz` file a compressed answer."""
    try:
        while piece := answer.raw.read1(PIECE, decode_content=False):
            yield piece
    except urllib3.exceptions.TimeoutError as error:
        raise _Broken(f"no answer within {TIMEOUT} seconds") from error
    except urllib3.exceptions.HTTPError as error:
        raise _Broken("the transfer broke off") from error
