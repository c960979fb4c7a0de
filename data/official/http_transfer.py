"""One file over HTTP, in as many requests as it takes: what has been downloaded is never requested again."""

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
from data.official.partial_files import PartialFile, Stopped, TooLong
from data.progress import progress

TIMEOUT = 30  # seconds without a byte from a mirror
RETRIES = 4  # further tries, with growing pauses, of a mirror that sends nothing, before the next mirror
LONGEST_PAUSE = 60  # seconds between two tries, where the mirror does not ask for more
PATIENCE = 300  # seconds, at most, to wait because a mirror asks for it
PIECE = 1 << 16  # bytes, at most, between two looks at whether to stop
GAIN = 1 << 20  # bytes after which earlier failures are forgotten

# Status codes that a later request may not get: the server is overloaded, restarts, or limits requests.
TEMPORARY = frozenset({408, 425, 429, 500, 502, 503, 504})


class Unavailable(LookupError):
    """A mirror does not have the file, and another request would not help. The message says why."""


class _TemporaryFailure(Exception):
    """A failure that another request may not meet; the mirror asks for a pause of `wait` seconds before it."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


def transfer(address: str, partial: PartialFile, slot: int, stop: threading.Event) -> None:
    """Downloads from one address what is missing of a file. The caller checks whether the bytes are right.

    Raises:
        Unavailable: the file cannot be completed from there; with the reason.
        Stopped: soon after `stop` was set.
    """
    failures = 0
    while not partial.whole:
        before = partial.size
        try:
            _transfer_once(address, partial, slot, stop)
        except _TemporaryFailure as error:
            failures = 0 if partial.size - before >= GAIN else failures + 1
            if failures > RETRIES:
                raise Unavailable(str(error)) from error
            if stop.wait(max(error.wait, _pause(failures))):
                raise Stopped from None


def _pause(failures: int) -> float:
    """Returns the seconds to wait, about twice as long each time. Chance keeps many clients from coming at once."""
    return min(LONGEST_PAUSE, 2.0**failures) * random.uniform(0.5, 1.0)


def _transfer_once(address: str, partial: PartialFile, slot: int, stop: threading.Event) -> None:
    """Sends one request and appends as much as it brings."""
    with (
        _response(address, partial) as response,
        progress(partial.file.known_size, f"downloading {partial.file.name}", "B", slot, partial.size) as bar,
    ):
        for piece in _pieces(response):
            if stop.is_set():
                raise Stopped
            try:
                partial.append(piece)
            except TooLong:
                partial.restart()
                raise Unavailable(f"it sends more than the {readable(partial.file.known_size)} of the file") from None
            bar.update(len(piece))
    if not partial.whole:
        raise _TemporaryFailure("the transfer broke off")


@contextlib.contextmanager
def _response(address: str, partial: PartialFile) -> Iterator[requests.Response]:
    """Yields the response with the missing bytes, or with all of them where the part so far cannot be continued."""
    response = _request(address, partial)
    with contextlib.ExitStack() as stack:
        stack.callback(response.close)
        misfit = response.status_code == 206 and not _fits(response, partial, address)
        if partial.size and (misfit or response.status_code == 416):
            partial.restart()
            response = _request(address, partial)
            stack.callback(response.close)
        _check(response, partial, address)
        if response.status_code == 200 and partial.size:
            partial.restart()
        partial.note_source(address, response.headers)
        yield response


def _request(address: str, partial: PartialFile) -> requests.Response:
    """Requests the missing bytes of a file, not compressed for the transfer."""
    headers = {"Accept-Encoding": "identity"}
    if partial.size:
        headers["Range"] = f"bytes={partial.size}-"
        if validator := partial.validator(address):
            headers["If-Range"] = validator
    try:
        return requests.get(address, headers=headers, stream=True, timeout=TIMEOUT)
    except requests.Timeout as error:
        raise _TemporaryFailure(f"no answer within {TIMEOUT} seconds") from error
    except requests.exceptions.SSLError as error:
        raise _TemporaryFailure("no secure connection") from error
    except requests.ConnectionError as error:
        raise _TemporaryFailure("no connection") from error
    except requests.RequestException as error:
        raise Unavailable(str(error)) from error


def _fits(response: requests.Response, partial: PartialFile, address: str) -> bool:
    """Says whether a response begins where the part so far ends, and is of the same version of the file."""
    part = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("Content-Range", "").strip())
    return (
        part is not None
        and int(part[1]) == partial.size
        and int(part[2]) < partial.file.known_size
        and part[3] in ("*", str(partial.file.known_size))
        and not partial.is_other_version(address, response.headers)
    )


def _check(response: requests.Response, partial: PartialFile, address: str) -> None:
    """Raises Unavailable or _TemporaryFailure where a response does not bring the file."""
    refusal = f"it answers {response.status_code} {response.reason}"
    if response.status_code in TEMPORARY:
        wait = _requested_wait(response)
        if wait > PATIENCE:
            raise Unavailable(f"{refusal} and wants us back in {wait:.0f} seconds")
        raise _TemporaryFailure(refusal, wait)
    if response.status_code == 206 and _fits(response, partial, address):
        return
    if response.status_code != 200:
        raise Unavailable(refusal)
    length = response.headers.get("Content-Length", "")
    if length.isdecimal() and int(length) != partial.file.known_size:
        raise Unavailable(f"it sends {length} bytes, the official file has {partial.file.known_size}")


def _requested_wait(response: requests.Response) -> float:
    """Returns the seconds that Retry-After asks for, as a number or a date; 0 without it."""
    try:
        return Retry().parse_retry_after(response.headers["Retry-After"])
    except (KeyError, urllib3.exceptions.InvalidHeader):
        return 0.0


def _pieces(response: requests.Response) -> Iterator[bytes]:
    """Yields the body as it arrives. It is not decompressed: a server may call a `.gz` file a compressed response."""
    try:
        while piece := response.raw.read1(PIECE, decode_content=False):
            yield piece
    except urllib3.exceptions.TimeoutError as error:
        raise _TemporaryFailure(f"no answer within {TIMEOUT} seconds") from error
    except urllib3.exceptions.HTTPError as error:
        raise _TemporaryFailure("the transfer broke off") from error
