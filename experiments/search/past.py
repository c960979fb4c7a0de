"""What earlier searches of a system found, as the first settings of a new one.

Another dataset, space, grid of cells or version has scores that do not compare, so none of them is taken
over: the best settings are, and are tried anew.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import TrialState

from data import catalog
from data.errors import UserError
from experiments.files import read_json
from experiments.search.protocol import Protocol
from experiments.settings.spaces import written


@dataclass(frozen=True)
class Past:
    """A study that was, and its settings as they are written, best first."""

    name: str
    dataset: str
    settings: list[dict[str, str]]


def first_ones(
    protocol: Protocol, storage: RDBStorage, known: Sequence[dict[str, Any]], count: int
) -> list[tuple[dict[str, Any], str]]:
    """Up to `count` settings that are not `known`, each with the name of the study that it is from.

    The best of each study first, then each one's second, and so on; studies of the same dataset before others. What is
    not searched now is left out, what was not searched then is as in params.yaml; a setting with a value that the
    space does not have is passed over. UserError where the evidence is damaged.
    """
    pasts = [*_studies(protocol, storage)]
    evidence = _evidence(protocol)
    if evidence is not None and evidence.name not in (protocol.name, *(past.name for past in pasts)):
        pasts.append(evidence)
    pasts.sort(key=lambda past: (past.dataset != protocol.config.dataset, past.name))
    found: list[tuple[dict[str, Any], str]] = []
    for equals in zip_longest(*(past.settings for past in pasts)):
        for past, setting in zip(pasts, equals, strict=True):
            params = setting and _within(protocol, setting)
            if params and len(found) < count and params not in (*known, *(taken for taken, _ in found)):
                found.append((params, past.name))
    return found


def _within(protocol: Protocol, setting: dict[str, str]) -> dict[str, Any] | None:
    """The setting in the space of now; None where it does not hold it."""
    try:
        now = {name: dimension.read(setting[name]) for name, dimension in protocol.space.items() if name in setting}
    except ValueError:
        return None
    return {**protocol.shipped, **now}


def _studies(protocol: Protocol, storage: RDBStorage) -> Iterator[Past]:
    """Other studies of the system in the same storage."""
    datasets = "|".join(map(re.escape, catalog.CATALOG))
    pattern = re.compile(f"{re.escape(protocol.system)}-({datasets})-[0-9a-f]{{12}}")
    for name in optuna.get_all_study_names(storage):
        match = pattern.fullmatch(name)
        if match and name != protocol.name:
            trials = optuna.load_study(study_name=name, storage=storage).get_trials(states=[TrialState.COMPLETE])
            trials.sort(key=lambda trial: (-trial.values[0], trial.number))
            settings = [{key: written(value) for key, value in trial.params.items()} for trial in trials]
            yield Past(name, match[1], settings)


def _evidence(protocol: Protocol) -> Past | None:
    """What the last search of the system left in git."""
    path = protocol.layout.evidence / f"{protocol.system}.csv"
    told = read_json(path.with_suffix(".json"))
    if told is None or not path.is_file():
        return None
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = [row for row in csv.DictReader(stream) if row["state"] == "complete"]
        rows.sort(key=lambda row: (-float(row["score"]), int(row["number"])))
        prefix = "params_"
        settings = [
            {key.removeprefix(prefix): value for key, value in row.items() if key.startswith(prefix)} for row in rows
        ]
        return Past(told.get("study") or path.name, told["dataset"], settings)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, csv.Error) as error:
        raise UserError(
            f"{path} is not what a search wrote ({type(error).__name__}: {error}): bring it back with git, or set "
            "search.warm_start to 0"
        ) from None
