"""Official files into `ROOT/raw/DATASET`: from mirrors, from an installed package or from a folder.

That folder only ever holds bytes whose checksum is in the catalog: a file is checked before it gets its name.
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
from data.official.from_folder import found, take
from data.official.mirrors import from_mirrors
from data.official.partial_files import Stopped, size_so_far, tidy
from data.official.picture_tree import TREE, official_tree, take_in, taken_in
from data.official.verified import Receipts, on_disk

AT_ONCE = 4  # files; more would only share the same line
FAREWELL = 1.0  # seconds for transfers to end after Ctrl-C


def official_files(dataset: Dataset, root: Path) -> Official:
    """A dataset's official files, checksums verified, or the folder that stands for them.

    UserError where one is missing or wrong, naming the command that puts it right. What was found right is not read
    again until it changes. Images that are drawn need none.
    """
    if dataset.drawn is not None:
        return Official(dataset.format, {}, dataset.origin)
    if tree := taken_in(dataset, root):
        return official_tree(dataset, tree)
    folder = raw_folder(dataset.name, root)
    receipts = Receipts(folder)
    files = {file.role: receipts.whole(file) for file in dataset.files}
    whole = {role: path for role, path in files.items() if path is not None}
    if len(whole) < len(files) or not files:
        raise UserError(_lacking(dataset, folder, [file for file in dataset.files if file.role not in whole]))
    return Official(dataset.format, whole, dataset.origin)


def _lacking(dataset: Dataset, folder: Path, files: Sequence[File]) -> str:
    """What is wrong with the files that are not whole, and the remedy."""
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
    """Puts a dataset's official files into `root/raw/NAME`; returns those that were not there yet.

    With `source`, a folder, they come from there: compressed as published, compressed anew or not at all, as long
    as the content has the official checksum. What is not a byte-for-byte copy is kept decompressed. A folder with none
    of them may be one of pictures that stands for them, where the dataset has such a format.
    Raises UserError, once the others are there, where no mirror, or not that folder, gives the right bytes of a
    file; a wrong file is not kept. What came of a file before a break is, for the next call. Images that are drawn need
    no files: their folder stays empty, and a `source` is an error.
    """
    folder = raw_folder(dataset.name, root)
    if dataset.drawn is not None:
        return _nothing(dataset, folder, source)
    if source is None:
        if tree := taken_in(dataset, root):
            official_tree(dataset, tree)
            return []
    elif not source.is_dir():
        raise UserError(f"{source} is not a folder: --source names one with {dataset.name}'s official files")
    elif dataset.tree and not any(found(file, source) for file in dataset.files):
        formats.FORMATS.get(dataset.tree)(
            dataset, {"tree": source}, source
        )  # refuses a folder that cannot stand for them
        with alone(folder):
            path = take_in(dataset, root, source)
        return [] if path is None else [path]
    receipts = Receipts(folder)
    if not _not_whole(dataset, receipts) and dataset.files and not taken_in(dataset, root):
        return []
    with alone(folder):
        files = _not_whole(dataset, receipts)
        made = _from_mirrors(dataset, files, folder) if source is None else _from_folder(dataset, files, folder, source)
        (folder / TREE).unlink(missing_ok=True)  # the official files themselves are there now
    return made


def _nothing(dataset: Dataset, folder: Path, source: Path | None) -> list[Path]:
    """What there is to download of images that are drawn; the folder is made, since the pipeline looks for it."""
    if source is not None:
        raise UserError(
            f"{dataset.name} has no official files, its images are drawn by `prepare`: leave out --source {source} "
            "(in params.yaml, set data.source to null)"
        )
    with write_errors_explained(folder):
        folder.mkdir(parents=True, exist_ok=True)
    return []


def _not_whole(dataset: Dataset, receipts: Receipts) -> list[File]:
    return [file for file in dataset.files if receipts.whole(file) is None]


def _from_folder(dataset: Dataset, files: Sequence[File], folder: Path, source: Path) -> list[Path]:
    """Takes what the folder has, then says what it has not."""
    taken, wrong = take(files, folder, source)
    receipts = Receipts(folder)
    for file, path in taken:
        receipts.record(path, file.checksum if path.name == file.name or not file.content else file.content.checksum)
    whole = {file for file, _ in taken}
    tidy(folder, [file for file in files if file not in whole])
    absent = [file for file in files if not found(file, source)]
    fetched = [file for file in absent if dataset.manual and dataset.addresses(file)]  # the licence speaks of others
    lacking = [file.name for file in absent if file not in fetched]
    if lacking:
        decompressed = " (decompressed ones, without .gz, would do as well)" if any(f.content for f in files) else ""
        wrong.append(
            f"{source} lacks {', '.join(lacking)}{decompressed}; "
            f"{dataset.name} needs {', '.join(file.name for file in dataset.files)}"
        )
    if wrong:
        raise UserError("\n".join(wrong))
    return [path for _, path in taken] + (_from_mirrors(dataset, fetched, folder) if fetched else [])


def _from_mirrors(dataset: Dataset, files: Sequence[File], folder: Path) -> list[Path]:
    """Downloads what can be downloaded, then says what cannot."""
    wanted = [file for file in files if dataset.addresses(file)]
    if not wanted and (files or not dataset.files):
        raise UserError(_by_hand(dataset, files))
    tidy(folder, wanted)
    need = sum(file.size - size_so_far(file, folder) for file in wanted)
    check_space(folder, need, f"{len(wanted)} files of {dataset.name}")
    made, failures = _at_once(dataset, wanted, folder)
    tidy(folder, [file for file in wanted if file not in made])
    if failures:
        failures.append(
            "Try again later: what has come so far is kept. Or put the official files in a folder and name it with "
            "--source FOLDER."
        )
    if len(wanted) < len(files):
        failures.append(_by_hand(dataset, [file for file in files if file not in wanted]))
    if failures:
        raise UserError("\n".join(failures))
    return [made[file] for file in files]


def _by_hand(dataset: Dataset, files: Sequence[File]) -> str:
    """How to get what no program may fetch."""
    names = "".join(f"\n  {file.name}" + (f" ({readable(file.size)})" if file.size else "") for file in files)
    return (
        f"{dataset.name} cannot be downloaded by this program. {dataset.manual}".rstrip()
        + (f"\nPut into a folder:{names}\nThen run" if files else "\nThen run")
        + f" `python -m data download {dataset.name} --source FOLDER`"
    )


def _at_once(dataset: Dataset, files: Sequence[File], folder: Path) -> tuple[dict[File, Path], list[str]]:
    """Fetches several files at a time; those that are there, in the order of `files`, and what was wrong with others.

    The threads are daemons: on Ctrl-C nobody has to wait for one that listens to a mirror that says nothing.
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
    receipts = Receipts(folder)
    results: dict[File, Path | Exception] = {}
    try:
        for thread in threads:
            thread.start()
        for _ in files:
            file, result = done.get()
            results[file] = result
            if isinstance(result, Path):
                receipts.record(result, file.checksum)
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
