"""Images that an earlier version prepared, without digests of their files: the digests are added, the images kept."""

from __future__ import annotations

import json
from pathlib import Path

from data.atomic import alone
from data.prepared.arrays import CAPTIONS, LABELS, NAMES, SKIPPED, Arrays, fingerprint
from data.progress import progress
from data.verification import DAMAGE, META, SUM, write_meta


def add_digests(folder: Path) -> None:
    """Adds digests to meta.json of a folder that has none, if the images, labels and captions give its fingerprint.

    Whatever is missing or damaged is left as it is, to be prepared anew. Raises UserError where the place cannot be
    written.
    """
    if not _lacks_digests(folder):
        return
    with alone(folder):
        try:
            meta = json.loads((folder / META).read_text(encoding="utf-8"))
            arrays = Arrays.open(folder, meta)
            with progress(sum(shard.nbytes for shard in arrays.images), f"checking {folder}", "B") as bar:
                digests = [arrays.digest(number, bar.update) for number in range(len(arrays.images))]
            if SUM not in meta and fingerprint(digests) == meta["fingerprint"]:
                files = [name for name in (LABELS, NAMES, CAPTIONS, SKIPPED) if (folder / name).is_file()]
                write_meta(folder, {**meta, "digests": digests}, files)
        except DAMAGE:
            return


def _lacks_digests(folder: Path) -> bool:
    try:
        return SUM not in json.loads((folder / META).read_text(encoding="utf-8"))
    except DAMAGE:
        return False
