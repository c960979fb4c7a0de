"""The log of one trial, for people to read."""

from __future__ import annotations

import time
from collections.abc import Mapping

from data.errors import UserError
from experiments.trial_store.folders import TrialFolder, TrialStore

HIDDEN = ("epoch", "time", "threads", "gpu")  # entries of an epoch's row that its line does not show
MIXED = "its digits are not those of a trial that is computed on one of them alone"


def find(store: TrialStore, start: str) -> TrialFolder:
    """Returns the one trial in the store whose identity starts with `start`.

    UserError unless there is exactly one, or where the place is no trial store.
    """
    store.check_begun()
    identities = store.identities(start)
    if len(identities) != 1:
        number = f"{len(identities)} trials start so" if identities else "no trial starts so"
        raise UserError(f"{start!r}: {number} in {store}: `python -m experiments status` and results.csv name them")
    store.fetch(identities)
    return store.folder(identities[0])


def lines(folder: TrialFolder) -> list[str]:
    """Returns lines that show what the trial is, each of its epochs, and its result, or why and where it failed."""
    shown = [f"{folder.path.name}: {folder.status}, in {folder.place}"]
    shown += [f"  {name}: {_printable(value)}" for name, value in (folder.config() or {}).items()]
    computed_on = None
    for row in folder.rows():
        if "threads" in row and (now_on := computing(row)) != computed_on:
            changed = computed_on and f"  from here on {now_on}, not {computed_on}: {MIXED}"
            shown.append(changed or f"  on {now_on}")
            computed_on = now_on
        scalars = "  ".join(f"{name} {value:.5g}" for name, value in row.items() if name not in HIDDEN)
        clock = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(row["time"]))
        shown.append(f"{clock}  epoch {row['epoch']:3}  {scalars}")
    if result := folder.result():
        shown += [f"  {name}: {_printable(value)}" for name, value in result.items() if _is_short(value)]
    elif failure := folder.failure():
        shown += [f"failed: {failure['reason']}", failure.get("details", "").rstrip()]
    return shown + [f"does not hold: {fault}" for fault in folder.faults()]


def _is_short(value: object) -> bool:
    """Returns whether a value is no mapping and no list of mappings."""
    return not isinstance(value, dict) and not (isinstance(value, list) and any(isinstance(one, dict) for one in value))


def _printable(value: object) -> object:
    """Returns a value, without what would steer the terminal in its place."""
    return repr(value) if isinstance(value, str) and not value.isprintable() else value


def computing(row: Mapping[str, float]) -> str:
    """Returns what an epoch was computed on, in words, such as "2 threads"."""
    threads = f"{row['threads']:g} thread{'' if row['threads'] == 1 else 's'}"
    return f"a GPU and {threads}" if row.get("gpu") else threads
