"""A folder of pictures that stands in for a dataset's official files. It is read in place, never copied.

`ROOT/raw/DATASET/tree.json` registers it: where it is, and a digest of the names, sizes and times of change of its
files.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from tqdm import tqdm

from data.atomic import whole_file
from data.dataset import Dataset, Official
from data.errors import UserError
from data.layout import raw_folder
from data.progress import progress

TREE = "tree.json"


@dataclass(frozen=True)
class Tree:
    """A folder, by its absolute path, with `files` regular files of `bytes` bytes in all.

    `listing` is the SHA-256 of the files' sizes, times of change and relative paths, sorted. Names that begin with a
    dot are left out.
    """

    folder: str
    files: int
    bytes: int
    listing: str

    @property
    def origin(self) -> str:
        """What prepared images remember of their source."""
        return f"tree:{self.listing}"


def registered_tree(dataset: Dataset, root: Path) -> Tree | None:
    """Returns the folder that stands in for a dataset's official files, as it was when registered; None without one.

    The folder itself is not looked at.
    """
    with contextlib.suppress(OSError, ValueError, TypeError):
        tree = Tree(**json.loads((raw_folder(dataset.name, root) / TREE).read_text(encoding="utf-8")))
        if [type(value) for value in asdict(tree).values()] == [str, int, int, str]:
            return tree
    return None


def register_tree(dataset: Dataset, root: Path, source: Path) -> Path | None:
    """Registers a folder in place of a dataset's official files. Call it inside `alone`.

    Returns the path of tree.json; None where the folder was registered already and has not changed. Raises UserError
    where it has no files, where one cannot be looked at, or where a link leads out of it.
    """
    before = registered_tree(dataset, root)
    tree = _scan(Path(os.path.abspath(source)), before.files if before else None)
    if not tree.files:
        raise UserError(f"{source} has no files: --source names the folder that holds {dataset.name}'s pictures")
    if tree == before:
        return None
    path = raw_folder(dataset.name, root) / TREE
    with whole_file(path) as out:
        out.write(json.dumps(asdict(tree), indent=2).encode() + b"\n")
    return path


def verified_tree(dataset: Dataset, tree: Tree) -> Official:
    """Returns a registered folder as official files. Raises UserError where it is gone or its files have changed."""
    folder = Path(tree.folder)
    again = f"run `python -m data download {dataset.name} --source FOLDER` again"
    if not folder.is_dir():
        raise UserError(f"{folder}, the folder with {dataset.name}'s pictures, is gone: bring it back, or {again}")
    if _scan(folder, tree.files) != tree:
        raise UserError(
            f"{folder}, the folder with {dataset.name}'s pictures, has changed since it was taken in: {again}"
        )
    return Official(dataset.tree or "", {"tree": folder}, tree.origin)


def _scan(folder: Path, files: int | None) -> Tree:
    """Returns what a folder holds now. `files`, if known, is about how many files, for the progress bar."""
    with progress(files, f"looking through {folder.name}", " files") as bar:
        lines = sorted(_regular_files(folder, bar))
    listing = hashlib.sha256()
    for path, size, changed in lines:
        listing.update(b"%d %d %s\n" % (size, changed, path))
    return Tree(str(folder), len(lines), sum(size for _, size, _ in lines), listing.hexdigest())


def _regular_files(folder: Path, bar: tqdm) -> Iterator[tuple[bytes, int, int]]:
    """Yields (relative path, size, time of change in ns) of every file under a folder that is not hidden, in any order.

    A link to a file within the folder counts as that file. A link to a folder within it is not followed, because its
    files are listed already.
    """
    top, prefix = os.path.realpath(folder), os.path.join(folder, "")
    waiting = [os.fspath(folder)]
    try:
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_symlink():
                        _expect_inside(entry.path, top)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
                    elif entry.is_file():
                        bar.update()
                        relative = entry.path.removeprefix(prefix).replace(os.sep, "/")
                        stat = entry.stat()
                        yield os.fsencode(relative), stat.st_size, stat.st_mtime_ns
    except OSError as error:
        raise UserError(f"cannot look through {error.filename or folder}: {error.strerror or error}") from error


def _expect_inside(link: str, top: str) -> None:
    target = os.path.realpath(link)
    if os.path.commonpath([target, top]) != top:
        raise UserError(
            f"{link} is a link that leads out of the folder, to {target}: put the files themselves there, "
            "so that a change of them can be seen"
        )
