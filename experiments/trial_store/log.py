"""The log of one trial, for people to read."""

from __future__ import annotations

import time

from data.errors import UserError
from experiments.trial_store.folders import TrialFolder, TrialStore

HIDDEN = ("epoch", "time")  # columns of an epoch's row that its line shows elsewhere


def find(store: TrialStore, start: str) -> TrialFolder:
    """Returns the one trial in the store whose identity starts with `start`. UserError unless there is exactly one."""
    identities = store.identities(start)
    if len(identities) != 1:
        number = f"{len(identities)} trials start so" if identities else "no trial starts so"
        raise UserError(f"{start!r}: {number} in {store}: `python -m experiments status` and results.csv name them")
    store.fetch(identities)
    return store.folder(identities[0])


def lines(folder: TrialFolder) -> list[str]:
    """Returns lines that show what the trial is, each of its epochs, and its result, or why and where it failed."""
    shown = [f"{folder.path.name}: {folder.status}, in {folder.place}"]
    shown += [f"  {name}: {value}" for name, value in (folder.config() or {}).items()]
    for row in folder.rows():
        scalars = "  ".join(f"{name} {value:.5g}" for name, value in row.items() if name not in HIDDEN)
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["time"]))
        shown.append(f"{clock}  epoch {row['epoch']:3}  {scalars}")
    if result := folder.result():
        shown += [f"  {name}: {value}" for name, value in result.items() if not isinstance(value, dict | list)]
    elif failure := folder.failure():
        shown += [f"failed: {failure['reason']}", failure["details"].rstrip()]
    return shown
