"""Whether the files in a folder hold what was written there. Used for prepared images and splits alike.

`meta.json`, written last, has the SHA-256 of the folder's other files and, under `sum`, of its own values. The content
of a file is read once: `.NAME.verified.json` beside the folder remembers which digest a file had, and the file's
stamp at that time (size, times of change, inode). It is read again only where the stamp has changed. Where the place is
read-only, the user's cache folder remembers it. Neither lies within the folder, whose content must not change.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import time
import tokenize
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from data.atomic import replaced, whole_file
from data.progress import progress

META, FILES, SUM = "meta.json", "files", "sum"
PIECE = 2**23  # bytes read at a time
# A file that changed so many ns ago may change again with no other time of change: its digest is not remembered.
UNSETTLED = 2 * 10**9
# What reading a damaged file raises.
DAMAGE = (
    *(OSError, ValueError, TypeError, KeyError, AttributeError, IndexError, EOFError, OverflowError, MemoryError),
    *(RecursionError, SyntaxError, tokenize.TokenError, zipfile.BadZipFile),  # the second and third: of a NumPy header
)
Digests = Mapping[str, str]  # by the name of a file
Report = Callable[[int], object]  # is called with a number of bytes as they are read
_remembered: dict[Path, dict[str, list[Any]]] = {}  # by folder and file: stamp and digest, where no disk keeps them


def file_digest(path: Path, report: Report = lambda count: None) -> str:
    """Returns the SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(PIECE):
            digest.update(piece)
            report(len(piece))
    return digest.hexdigest()


def _sum(meta: Mapping[str, Any]) -> str:
    """Returns the SHA-256 of the values in meta.json, but for the sum itself."""
    values = {key: value for key, value in meta.items() if key != SUM}
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()


def write_meta(folder: Path, meta: Mapping[str, Any], files: Iterable[str]) -> None:
    """Writes meta.json into a folder, with the digests of those files in it and its own.

    Raises UserError where the disk is full or not writable.
    """
    values = {**meta, FILES: {name: file_digest(folder / name) for name in sorted(files)}}
    with whole_file(folder / META) as out:
        out.write(json.dumps({**values, SUM: _sum(values)}, indent=2).encode() + b"\n")


def read_meta(folder: Path) -> dict[str, Any] | None:
    """Reads meta.json of a folder; None where an earlier version wrote it, without a sum.

    Raises what DAMAGE lists where it is missing, or its values are not those that were written.
    """
    meta = json.loads((folder / META).read_text(encoding="utf-8"))
    if not isinstance(meta, dict) or "layout" not in meta:
        raise ValueError(f"{META} holds something else")
    if SUM not in meta:
        return None
    if meta[SUM] != _sum(meta):
        raise ValueError(f"the values in {META} are not those that were written")
    return meta


def verify(folder: Path, expected: Digests, digest: Callable[[str, Report], str] | None = None) -> None:
    """Checks that files of a folder have the digests that are expected, where that is not known already.

    `digest` computes that of a file, given its name; without it, it is the file's SHA-256. Raises ValueError, naming
    the file, where a digest is another one, and OSError where a file is missing.
    """
    known, begun = _known(folder), time.time_ns()
    stamps = {name: _stamp(folder / name) for name in expected}
    left = [name for name in expected if known.get(name) != [*stamps[name], expected[name]]]
    compute = digest or (lambda name, report: file_digest(folder / name, report))
    with progress(sum(stamps[name][0] for name in left), f"checking {folder}", "B") as bar:
        for name in left:
            if compute(name, bar.update) != expected[name]:
                raise ValueError(f"the content of {name} is not what was written")
    if left:
        _remember(folder, known, {name: [*stamps[name], expected[name]] for name in left}, begun)


def _stamp(path: Path) -> list[int]:
    """Returns what changes with the content of a file: its size in bytes, times of change in ns, and inode.

    Raises OSError where it is missing, and ValueError where it is a folder, a pipe or the like.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path.name} is not a file")
    return [status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino]


def _remember(folder: Path, known: dict[str, list[Any]], found: dict[str, list[Any]], begun: int) -> None:
    """Adds what was found of files, stamps and digests, from the time `begun` on, to what is known of a folder."""
    fresh = {name: entry for name, entry in found.items() if max(entry[1:3]) + UNSETTLED < begun}
    if not fresh:
        return
    _remembered[folder.absolute()] = {**known, **fresh}
    content = json.dumps({**known, **fresh}, indent=0).encode()
    for path in _places(folder):
        try:
            with replaced(path) as stream:
                stream.write(content)
            return
        except OSError:
            continue


def _known(folder: Path) -> dict[str, list[Any]]:
    """Returns the stamps and digests that are remembered of a folder's files."""
    known: dict[str, list[Any]] = {}
    for path in reversed(_places(folder)):
        try:
            known.update(json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError, RecursionError):  # nothing there, or nothing that can be used
            continue
    return known | _remembered.get(folder.absolute(), {})


def _places(folder: Path) -> list[Path]:
    """Returns the files that may remember digests: beside the folder, then in the user's cache folder, if any."""
    folder = folder.absolute()
    places = [folder.parent / f".{folder.name}.verified.json"]
    cache = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if os.path.isabs(cache):
        name = hashlib.sha256(str(folder).encode(errors="surrogateescape")).hexdigest()
        places.append(Path(cache) / "vae-images-labels-captions" / f"{name}.json")
    return places
