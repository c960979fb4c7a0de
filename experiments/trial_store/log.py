"""What became of one trial, as a person wants to read it."""

from __future__ import annotations

import time

from data.errors import UserError
from experiments.trial_store.folders import TrialFolder, TrialStore

HIDDEN = ("epoch", "time")


def find(store: TrialStore, start: str) -> TrialFolder:
    """The trial whose identity starts so, of all that are in the store. UserError unless there is exactly one."""
    found = store.identities(start)
    if len(found) != 1:
        told = f"{len(found)} trials start so" if found else "no trial starts so"
        raise UserError(f"{start!r}: {told} in {store}: `python -m experiments status` and results.csv name them")
    store.fetch(found)
    return store.folder(found[0])


def lines(folder: TrialFolder) -> list[str]:
    """What it is, each of its epochs, and what it found, or why it failed and where it stood then."""
    told = [f"{folder.path.name}: {folder.status}, in {folder.place}"]
    told += [f"  {name}: {value}" for name, value in (folder.config() or {}).items()]
    for row in folder.rows():
        scalars = "  ".join(f"{name} {value:.5g}" for name, value in row.items() if name not in HIDDEN)
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["time"]))
        told.append(f"{clock}  epoch {row['epoch']:3}  {scalars}")
    if result := folder.result():
        told += [f"  {name}: {value}" for name, value in result.items() if not isinstance(value, dict | list)]
    elif failure := folder.failure():
        told += [f"failed: {failure['reason']}", failure["details"].rstrip()]
    return told
