"""Official files into `ROOT/raw/DATASET`: from mirrors, from an installed package or from a folder.

A file gets its name there only after its checksum was found to be that of the catalog.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from data.atomic import alone, write_errors_explained
from data.dataset import Dataset, File, Official
from data.disk_space import check_space, readable
from data.errors import UserError
from data.formats import contract as formats
from data.layout import raw_folder
from data.official.checksums import VerifiedFiles, on_disk
from data.official.mirrors import from_mirrors
from data.official.partial_files import Stopped, downloaded_size, remove_other_parts
from data.official.picture_tree import TREE, register_tree, registered_tree, verified_tree
from data.official.source_folder import copy_files, find_file

AT_ONCE = 4  # files; more of them would only share the same connection
FAREWELL = 1.0  # seconds to wait for transfers to end after Ctrl-C


def official_files(dataset: Dataset, root: Path) -> Official:
    """Returns a dataset's official files, their checksums verified, or the folder that stands in for them.

    A file is not read again until it changes. Images that are drawn have no files. Raises UserError where a file is
    missing or wrong, naming the command that puts it right.
    """
    if dataset.drawn is not None:
        return Official(dataset.format, {}, dataset.origin)
    if tree := registered_tree(dataset, root):
        return verified_tree(dataset, tree)
    folder = raw_folder(dataset.name, root)
    verified = VerifiedFiles(folder)
    files = {file.role: verified.find(file) for file in dataset.files}
    whole = {role: path for role, path in files.items() if path is not None}
    if len(whole) < len(files) or not files:
        raise UserError(_problem(dataset, folder, [file for file in dataset.files if file.role not in whole]))
    return Official(dataset.format, whole, dataset.origin)


def _problem(dataset: Dataset, folder: Path, files: Sequence[File]) -> str:
    """Returns what is wrong with files that are missing or damaged, and the remedy."""
    damaged = [file.name for file in files if on_disk(file, folder)]
    missing = [file.name for file in files if file.name not in damaged]
    what = [f"lacks {', '.join(missing)}"] if missing else []
    if damaged:
        what.append(f"holds {', '.join(damaged)} damaged")
    command = f"python -m data download {dataset.name}" + ("" if _downloadable(dataset) else " --source FOLDER")
    trouble = " and ".join(what) or "names no folder of pictures"
    return f"{folder} {trouble}: run `{command}` first. {dataset.manual}".rstrip()


def _downloadable(dataset: Dataset) -> bool:
    return any(dataset.addresses(file) for file in dataset.files)


def download(dataset: Dataset, root: Path, source: Path | None = None) -> list[Path]:
    """Puts a dataset's official files into `root/raw/NAME`. Returns the paths of those that were not there yet.

    With a `source` folder they are copied from there: compressed as published, compressed again or not at all, as long
    as the content has the official checksum. A file that is not a byte-for-byte copy is kept decompressed. A folder
    with none of the files may be a folder of pictures that stands in for them, where the dataset has such a format.
    Images that are drawn have no files: their folder stays empty, and a `source` is an error.

    Raises:
        UserError: neither a mirror nor the folder has the right bytes of a file. The other files are there by then. A
            wrong file is not kept; an incomplete download is, for the next call.
    """
    folder = raw_folder(dataset.name, root)
    if dataset.drawn is not None:
        return _download_nothing(dataset, folder, source)
    if source is None:
        if tree := registered_tree(dataset, root):
            verified_tree(dataset, tree)
            return []
    elif not source.is_dir():
        raise UserError(f"{source} is not a folder: --source names one with {dataset.name}'s official files")
    elif dataset.tree and not any(find_file(file, source) for file in dataset.files):
        # Reading it raises UserError for a folder that cannot stand in for the files.
        formats.FORMATS.get(dataset.tree)(dataset, {"tree": source}, source)
        with alone(folder):
            path = register_tree(dataset, root, source)
        return [] if path is None else [path]
    verified = VerifiedFiles(folder)
    if not _missing(dataset, verified) and dataset.files and not registered_tree(dataset, root):
        return []
    with alone(folder):
        files = _missing(dataset, verified)
        made = (
            _download_from_mirrors(dataset, files, folder)
            if source is None
            else _copy_from_folder(dataset, files, folder, source)
        )
        (folder / TREE).unlink(missing_ok=True)  # the official files themselves are there now
    return made


def _download_nothing(dataset: Dataset, folder: Path, source: Path | None) -> list[Path]:
    """Makes the folder of a dataset without official files, because the pipeline looks for it."""
    if source is not None:
        raise UserError(
            f"{dataset.name} has no official files, its images are drawn by `prepare`: leave out --source {source} "
            "(in params.yaml, set data.source to null)"
        )
    with write_errors_explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return []


def _missing(dataset: Dataset, verified: VerifiedFiles) -> list[File]:
    """Returns the files that are not there with the right checksum."""
    return [file for file in dataset.files if verified.find(file) is None]


def _copy_from_folder(dataset: Dataset, files: Sequence[File], folder: Path, source: Path) -> list[Path]:
    """Copies the files that `source` has and returns their paths.

    Raises UserError for the files that it lacks. Where the licence asks for some files only, the others are downloaded.
    """
    taken, wrong = copy_files(files, folder, source)
    verified = VerifiedFiles(folder)
    for file, path in taken:
        verified.record(path, file.checksum if path.name == file.name or not file.content else file.content.checksum)
    whole = {file for file, _ in taken}
    remove_other_parts(folder, [file for file in files if file not in whole])
    absent = [file for file in files if not find_file(file, source)]
    fetched = [file for file in absent if dataset.manual and dataset.addresses(file)]
    lacking = [file.name for file in absent if file not in fetched]
    if lacking:
        decompressed = " (decompressed ones, without .gz, would do as well)" if any(f.content for f in files) else ""
        wrong.append(
            f"{source} lacks {', '.join(lacking)}{decompressed}; "
            f"{dataset.name} needs {', '.join(file.name for file in dataset.files)}"
        )
    if wrong:
        raise UserError("\n".join(wrong))
    return [path for _, path in taken] + (_download_from_mirrors(dataset, fetched, folder) if fetched else [])


def _download_from_mirrors(dataset: Dataset, files: Sequence[File], folder: Path) -> list[Path]:
    """Downloads the files that have a mirror and returns their paths. Raises UserError for the others."""
    wanted = [file for file in files if dataset.addresses(file)]
    if not wanted and (files or not dataset.files):
        raise UserError(_instructions(dataset, files))
    remove_other_parts(folder, wanted)
    need = sum(file.known_size - downloaded_size(file, folder) for file in wanted)
    check_space(folder, need, f"{len(wanted)} files of {dataset.name}")
    made, failures = _download_several(dataset, wanted, folder)
    remove_other_parts(folder, [file for file in wanted if file not in made])
    if failures:
        failures.append(
            "Try again later: what has come so far is kept. Or put the official files in a folder and name it with "
            "--source FOLDER."
        )
    if len(wanted) < len(files):
        failures.append(_instructions(dataset, [file for file in files if file not in wanted]))
    if failures:
        raise UserError("\n".join(failures))
    return [made[file] for file in files]


def _instructions(dataset: Dataset, files: Sequence[File]) -> str:
    """Returns how the user can get files that have no mirror."""
    names = "".join(f"\n  {file.name}" + (f" ({readable(file.size)})" if file.size else "") for file in files)
    return (
        f"{dataset.name} cannot be downloaded by this program. {dataset.manual}".rstrip()
        + (f"\nPut into a folder:{names}\nThen run" if files else "\nThen run")
        + f" `python -m data download {dataset.name} --source FOLDER`"
    )


def _download_several(dataset: Dataset, files: Sequence[File], folder: Path) -> tuple[dict[File, Path], list[str]]:
    """Downloads several files at a time. Returns the paths of those that succeeded, and why the others failed.

    Both are in the order of `files`. The threads are daemons, so that Ctrl-C does not wait for a silent mirror.
    """
    stop = threading.Event()
    waiting: queue.SimpleQueue[File] = queue.SimpleQueue()
    done: queue.SimpleQueue[tuple[File, Path | Exception]] = queue.SimpleQueue()
    for file in files:
        waiting.put(file)

    def work(slot: int) -> None:
        while not stop.is_set():
            try:
                file = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                done.put((file, from_mirrors(dataset, file, folder, slot, stop)))
            except Exception as error:
                done.put((file, error))

    threads = [threading.Thread(target=work, args=(slot,), daemon=True) for slot in range(min(AT_ONCE, len(files)))]
    verified = VerifiedFiles(folder)
    results: dict[File, Path | Exception] = {}
    try:
        for thread in threads:
            thread.start()
        for _ in files:
            file, result = done.get()
            results[file] = result
            if isinstance(result, Path):
                verified.record(result, file.checksum)
            elif not isinstance(result, UserError | Stopped):
                raise result
    finally:
        stop.set()
        end = time.monotonic() + FAREWELL
        for thread in threads:
            thread.join(max(0.0, end - time.monotonic()))
    ordered = [(file, results[file]) for file in files]
    return (
        {file: result for file, result in ordered if isinstance(result, Path)},
        [str(result) for _, result in ordered if not isinstance(result, Path)],
    )
