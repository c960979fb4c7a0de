"""Prepared images and splits on other machines: whole folders to and from any filesystem that fsspec knows.

A folder of ours lies at `URI` as its files and `sums.json`, the size and SHA-256 of each, which goes there first;
`meta.json` goes last, so a folder that is half there is never taken for whole. `push` takes a file of the right size
under a `sums.json` for what that says, since whatever was there under another one is taken away before; `pull` looks at
every byte, and what it finds damaged there `push` mends when it is told to send everything again.
"""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from data.atomic import alone, resumable, whole_file
from data.disk_space import check_space
from data.errors import UserError
from data.labelled.splits import Splits
from data.layout import processed_folder, splits_folder
from data.prepared.store import META, ImageStore
from data.progress import progress
from data.remote.filesystems import Place, place_at, place_errors_explained

SUMS = "sums.json"
PIECE = 2**23  # bytes read at a time
THREADS = 4  # files on their way at a time
Sums = dict[str, tuple[int, str]]  # by a file's name: bytes, SHA-256


def _read(place: Place, name: str) -> bytes | None:
    """A small file's content; None where there is none."""
    with place_errors_explained(place.uri):
        try:
            return place.filesystem.cat_file(place.file(name))
        except FileNotFoundError:
            return None


def _there(place: Place) -> dict[str, int]:
    """Sizes of the files at the place, by name."""
    with place_errors_explained(place.uri):
        try:
            found = place.filesystem.ls(place.path, detail=True)
        except FileNotFoundError:
            return {}
        return {entry["name"].rsplit("/", 1)[-1]: entry["size"] for entry in found if entry["type"] == "file"}


def _sum(path: Path) -> tuple[int, str]:
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
    return path.stat().st_size, digest.hexdigest()


def _parsed(text: bytes | None) -> Sums:
    """What a `sums.json` says; nothing where there is none, or it is not one that `push` writes."""
    try:
        sums = {name: (int(size), str(sum_)) for name, (size, sum_) in json.loads(text or b"{}").items()}
    except (ValueError, TypeError, AttributeError):
        return {}
    return sums if all(Path(name).name == name and name[0] != "." for name in sums) else {}


def _each(names: Iterable[str], do: Callable[[str], Any], done: Callable[[str, Any], None]) -> None:
    """Does it for every name, some at a time, and tells of each; after the first that fails no other is begun."""
    with ThreadPoolExecutor(THREADS) as pool:
        futures = {pool.submit(do, name): name for name in names}
        try:
            for future in as_completed(futures):
                done(futures[future], future.result())
        except BaseException:
            for future in futures:
                future.cancel()
            raise


def push(folder: Path, uri: str, again: bool = False) -> int:
    """Makes what lies at `uri`, or in a folder of that path, the same as `folder`; how many files were sent for it.

    Files that are there already, of an earlier push that was stopped half-way too, are sent only where `again` says
    so. Raises UserError where the folder has no meta.json, or that place cannot be reached or written.
    """
    if not (folder / META).is_file():
        raise UserError(f"{folder} has no {META}, so it is not whole: make it again")
    place = place_at(uri)
    files = {path.name: path for path in sorted(folder.iterdir()) if path.is_file() and path.name[0] != "."}
    total = sum(path.stat().st_size for path in files.values())
    found: Sums = {}
    with progress(total, f"checking {folder}", "B") as bar:

        def note(name: str, sum_: tuple[int, str]) -> None:
            found[name] = sum_
            bar.update(sum_[0])

        _each(files, lambda name: _sum(files[name]), note)
    sums = {name: found[name] for name in files}
    there = _cleared(place, sums, again)
    left = [name for name in files if there.get(name) != sums[name][0]]
    with progress(sum(sums[name][0] for name in left), f"sending {folder}", "B") as bar:
        for some in ([name for name in left if name != META], [name for name in left if name == META]):
            _each(some, lambda name: _send_file(place, files[name]), lambda name, _: bar.update(sums[name][0]))
    return len(left)


def _send_file(place: Place, path: Path) -> None:
    with place_errors_explained(place.uri):
        place.filesystem.put_file(str(path), place.file(path.name))


def _cleared(place: Place, sums: Sums, again: bool) -> dict[str, int]:
    """Sizes of the files at the place that may stay, once its `sums.json` is this one; what nobody pushed stays too."""
    there, before = _there(place), _parsed(_read(place, SUMS))
    if again or before != sums:
        stale = [name for name in there if before.get(name) != sums.get(name) or (again and name in sums)]
        stale += [META] if META in there and META not in stale else []
        with place_errors_explained(place.uri):
            for name in sorted(stale, key=lambda name: name != META):
                place.filesystem.rm_file(place.file(name))
            place.filesystem.pipe_file(place.file(SUMS), json.dumps(sums, indent=0).encode())
        there = {name: size for name, size in there.items() if name not in stale}
    return there


def _whole(place: Place) -> Sums:
    """What lies at the place. UserError where that is nothing, or not whole."""
    text = _read(place, META)
    sums = _parsed(_read(place, SUMS))
    if text is None or META not in sums:
        raise UserError(
            f"{place.uri} does not exist, or does not hold all that belongs there: look at its name, or run "
            f"`{_push_command(place)}` where the images were prepared"
        )
    if sums[META] != (len(text), hashlib.sha256(text).hexdigest()):
        raise _damaged(place, META)
    return sums


def _damaged(place: Place, name: str) -> UserError:
    return UserError(
        f"{place.uri}/{name} is not what {SUMS} says: pull once more, and if it stays so, run "
        f"`{_push_command(place)} --again` where the images were prepared"
    )


def _push_command(place: Place) -> str:
    """What brings a dataset to one of its `_addresses`."""
    base, _, name = place.uri.rsplit("/", 2)
    return f"python -m data push {name} {shlex.quote(base or '/')}"


def _fetch(place: Place, sums: Sums, target: Path) -> bool:
    """Makes the folder `target` what the place holds; False where it was that already."""

    def is_there() -> bool:
        sizes = all((target / n).is_file() and (target / n).stat().st_size == size for n, (size, _) in sums.items())
        return sizes and _sum(target / META) == sums[META]

    if is_there():
        return False
    with alone(target):
        if is_there():
            return False
        with resumable(target, json.dumps([place.uri, sums])) as folder:
            left = [name for name, (size, _) in sums.items() if not (folder / name).is_file()]
            need = sum(sums[name][0] for name in left)
            check_space(target, need, f"{len(left)} files from {place.uri}")
            with progress(need, f"fetching {place.uri}", "B") as bar:
                _each(
                    left, lambda name: _fetch_file(place, name, sums[name], folder), lambda n, _: bar.update(sums[n][0])
                )
    return True


def _fetch_file(place: Place, name: str, expected: tuple[int, str], folder: Path) -> None:
    """One file, which gets its name when its checksum is right."""
    digest, size = hashlib.sha256(), 0
    with (
        place_errors_explained(place.uri),
        place.filesystem.open(place.file(name), "rb", block_size=PIECE) as source,
        whole_file(folder / name) as out,
    ):
        while True:
            with place_errors_explained(place.uri):  # an OSError would look to whole_file like one of its own disk's
                piece = source.read(PIECE)
            if not piece:
                break
            digest.update(piece)
            size += out.write(piece)
        if (size, digest.hexdigest()) != expected:
            raise _damaged(place, name)


def _addresses(name: str, uri: str) -> tuple[str, str]:
    """Where a dataset's prepared images and its splits lie under a URI."""
    base = (uri or ".").rstrip("/")
    return f"{base}/processed/{name}", f"{base}/splits/{name}"


def push_dataset(name: str, root: Path, uri: str, again: bool = False) -> int:
    """Sends a dataset's prepared images and splits to `uri/processed/NAME` and `uri/splits/NAME`; how many files.

    Raises UserError where one of them is missing or damaged, the splits are of other images, or as `push` does.
    """
    images, splits = processed_folder(name, root), splits_folder(name, root)
    if Splits.open(splits).data != ImageStore.open(images).fingerprint:
        raise UserError(
            f"{splits} was cut from other images than {images} holds: run `python -m data split {name}` again"
        )
    return sum(push(folder, to, again) for folder, to in zip((images, splits), _addresses(name, uri), strict=True))


def pull_dataset(name: str, uri: str, root: Path) -> bool:
    """Brings them from there to where `push_dataset` takes them from; False where they were there already.

    A pull that was stopped goes on file by file, and one process at a time pulls. Raises UserError where there is
    nothing whole, a checksum is wrong, the place cannot be reached or the disk has no room.
    """
    places = [place_at(address) for address in _addresses(name, uri)]
    found = [_whole(place) for place in places]
    folders = processed_folder(name, root), splits_folder(name, root)
    made = [_fetch(place, sums, folder) for place, sums, folder in zip(places, found, folders, strict=True)]
    return any(made)
