"""Copies whole folders of prepared images and splits to and from any filesystem that fsspec knows.

A remote folder has the files of the local one and `sums.json`, the size and SHA-256 of each. `sums.json` is sent first
and `meta.json` last, so an incomplete folder is never taken for a whole one. `push` trusts a remote file of the right
size, because files of another `sums.json` are removed before. `pull` verifies every byte. A file that it finds damaged
is repaired by `push --again`, which sends everything again.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TypeVar

from data.atomic import alone, resumable, whole_file
from data.disk_space import check_space
from data.errors import UserError
from data.labelled.splits import Splits
from data.layout import processed_folder, splits_folder
from data.prepared.store import ImageStore
from data.progress import progress
from data.remote.filesystems import Place, place_at, place_errors_explained
from data.remote.names import stays_inside
from data.secrets import masked
from data.verification import META, file_digest

SUMS = "sums.json"
PIECE = 2**23  # bytes read at a time
THREADS = 4  # files copied at a time
Result = TypeVar("Result")
Sums = dict[str, tuple[int, str]]  # by the name of a file: its bytes, its SHA-256


def _read_file(place: Place, name: str) -> bytes | None:
    """Reads a small remote file; None where there is none."""
    with place_errors_explained(place.uri):
        try:
            return place.filesystem.cat_file(place.file(name))
        except FileNotFoundError:
            return None


def _sizes_at(place: Place) -> dict[str, int]:
    """Returns the sizes of the files at a place, by name."""
    with place_errors_explained(place.uri):
        try:
            entries = place.filesystem.ls(place.path, detail=True)
        except FileNotFoundError:
            return {}
        return {entry["name"].rsplit("/", 1)[-1]: entry["size"] for entry in entries if entry["type"] == "file"}


def _checksum(path: Path) -> tuple[int, str]:
    """Returns the size and the SHA-256 of a local file."""
    return path.stat().st_size, file_digest(path)


def _parse_sums(text: bytes | None) -> Sums:
    """Parses a `sums.json`; empty where there is none, or it is not one that `push` writes."""
    try:
        return {name: (int(size), str(sum_)) for name, (size, sum_) in json.loads(text or b"{}").items()}
    except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}


def _is_file_of_folder(name: str) -> bool:
    """Returns whether `push` may have sent a file of that name: it lies in the folder itself and is not hidden."""
    return stays_inside(name) and "/" not in name and name[0] != "."


def _for_each(names: Iterable[str], work: Callable[[str], Result], report: Callable[[str, Result], object]) -> None:
    """Calls `work` for every name, several at a time, and `report` with each result as it comes.

    After the first error no other call begins, and the error is raised.
    """
    with ThreadPoolExecutor(THREADS) as pool:
        futures = {pool.submit(work, name): name for name in names}
        try:
            for future in as_completed(futures):
                report(futures[future], future.result())
        except BaseException:
            for future in futures:
                future.cancel()
            raise


def push(folder: Path, uri: str, again: bool = False) -> int:
    """Makes the folder at `uri`, a URI or a path, the same as `folder`. Returns how many files were sent.

    Files that are there already, also from a push that was stopped half-way, are sent only if `again` is set. Raises
    UserError where the folder has no meta.json, or the place cannot be reached or written.
    """
    if not (folder / META).is_file():
        raise UserError(f"{folder} has no {META}, so it is not whole: make it again")
    place = place_at(uri)
    files = {path.name: path for path in sorted(folder.iterdir()) if path.is_file() and path.name[0] != "."}
    total = sum(path.stat().st_size for path in files.values())
    computed: Sums = {}
    with progress(total, f"checking {folder}", "B") as bar:

        def note(name: str, sum_: tuple[int, str]) -> None:
            computed[name] = sum_
            bar.update(sum_[0])

        _for_each(files, lambda name: _checksum(files[name]), note)
    sums = {name: computed[name] for name in files}
    remote_sizes = _remove_stale(place, sums, again)
    left = [name for name in files if remote_sizes.get(name) != sums[name][0]]
    with progress(sum(sums[name][0] for name in left), f"sending {folder}", "B") as bar:
        for some in ([name for name in left if name != META], [name for name in left if name == META]):
            _for_each(some, lambda name: _send_file(place, files[name]), lambda name, _: bar.update(sums[name][0]))
    return len(left)


def _send_file(place: Place, path: Path) -> None:
    with place_errors_explained(place.uri):
        place.filesystem.put_file(str(path), place.file(path.name))


def _remove_stale(place: Place, sums: Sums, again: bool) -> dict[str, int]:
    """Removes the files at a place that do not fit the new `sums.json`, and writes it there.

    Returns the sizes of the files that stay. Files that nobody pushed stay too.
    """
    remote_sizes, old_sums = _sizes_at(place), _parse_sums(_read_file(place, SUMS))
    if again or old_sums != sums:
        stale = [name for name in remote_sizes if old_sums.get(name) != sums.get(name) or (again and name in sums)]
        stale += [META] if META in remote_sizes and META not in stale else []
        with place_errors_explained(place.uri):
            for name in sorted(stale, key=lambda name: name != META):
                place.filesystem.rm_file(place.file(name))
            place.filesystem.pipe_file(place.file(SUMS), json.dumps(sums, indent=0).encode())
        remote_sizes = {name: size for name, size in remote_sizes.items() if name not in stale}
    return remote_sizes


def _read_sums(place: Place) -> Sums:
    """Reads the sums of the folder at a place. Raises UserError where there is none, or an incomplete one."""
    text = _read_file(place, META)
    sums = _parse_sums(_read_file(place, SUMS))
    for name in sums:
        if not _is_file_of_folder(name):
            raise UserError(
                f"{place}/{SUMS}: the name {name!r} leads out of the folder that it would be written to: run "
                f"`{_push_command(place)} --again` where the images were prepared, or pull from elsewhere"
            )
    if text is None or META not in sums:
        raise UserError(
            f"{place} does not exist or is incomplete: check its name, or run "
            f"`{_push_command(place)}` where the images were prepared"
        )
    if sums[META] != (len(text), hashlib.sha256(text).hexdigest()):
        raise _damaged(place, META)
    return sums


def _damaged(place: Place, name: str) -> UserError:
    return UserError(
        f"{place}/{name} is not what {SUMS} says: pull once more, and if it stays so, run "
        f"`{_push_command(place)} --again` where the images were prepared"
    )


def _push_command(place: Place) -> str:
    """Returns the command that sends a dataset to one of its `_addresses`."""
    base, _, name = place.uri.rsplit("/", 2)
    return f"python -m data push {name} {shlex.quote(masked(base) or '/')}"


def _fetch_folder(place: Place, sums: Sums, target: Path) -> bool:
    """Makes the local folder `target` the same as the place. Returns False where it was already."""

    def is_there() -> bool:
        sizes = all((target / n).is_file() and (target / n).stat().st_size == size for n, (size, _) in sums.items())
        return sizes and _checksum(target / META) == sums[META]

    if is_there():
        return False
    with alone(target):
        if is_there():
            return False
        with resumable(target, json.dumps([str(place), sums])) as folder:
            left = [name for name, (size, _) in sums.items() if not (folder / name).is_file()]
            need = sum(sums[name][0] for name in left)
            check_space(target, need, f"{len(left)} files from {place}")
            with progress(need, f"fetching {place}", "B") as bar:
                _for_each(
                    left, lambda name: _fetch_file(place, name, sums[name], folder), lambda n, _: bar.update(sums[n][0])
                )
    return True


def _fetch_file(place: Place, name: str, expected: tuple[int, str], folder: Path) -> None:
    """Fetches one file, which gets its name only if its checksum is right. Raises UserError otherwise."""
    digest, size = hashlib.sha256(), 0
    with (
        place_errors_explained(place.uri),
        place.filesystem.open(place.file(name), "rb", block_size=PIECE) as source,
        whole_file(folder / name) as out,
    ):
        while True:
            with place_errors_explained(
                place.uri
            ):  # otherwise `whole_file` would take an OSError for one of its own disk
                piece = source.read(PIECE)
            if not piece:
                break
            digest.update(piece)
            size += out.write(piece)
        if (size, digest.hexdigest()) != expected:
            raise _damaged(place, name)


def _addresses(name: str, uri: str) -> tuple[str, str]:
    """Returns where a dataset's prepared images and its splits are under a URI."""
    base = (uri or ".").rstrip("/")
    return f"{base}/processed/{name}", f"{base}/splits/{name}"


def push_dataset(name: str, root: Path, uri: str, again: bool = False) -> int:
    """Sends a dataset's prepared images and splits to `uri/processed/NAME` and `uri/splits/NAME`.

    Returns how many files were sent. Raises UserError where images or splits are missing or damaged or do not belong
    together, and as `push` does.
    """
    images, splits = processed_folder(name, root), splits_folder(name, root)
    if Splits.open(splits).data != ImageStore.open(images).fingerprint:
        raise UserError(
            f"{splits} was cut from other images than {images} holds: run `python -m data split {name}` again"
        )
    return sum(push(folder, to, again) for folder, to in zip((images, splits), _addresses(name, uri), strict=True))


def pull_dataset(name: str, uri: str, root: Path) -> bool:
    """Fetches the prepared images and splits that `push_dataset` sent. Returns False where they were there already.

    A pull that was stopped is resumed file by file. One process pulls at a time. Raises UserError where the remote
    folders are missing or incomplete, a checksum is wrong, the place cannot be reached or the disk has no room.
    """
    places = [place_at(address) for address in _addresses(name, uri)]
    found = [_read_sums(place) for place in places]
    folders = processed_folder(name, root), splits_folder(name, root)
    made = [_fetch_folder(place, sums, folder) for place, sums, folder in zip(places, found, folders, strict=True)]
    return any(made)
