"""Warm starts: the best settings of earlier searches of a system are the first ones that a new search tries.

Scores on another dataset, space, grid of cells or version of the system cannot be compared, so only the settings are
taken over, and are tried anew.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
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
    """An earlier study, and its completed settings as text, best first."""

    name: str
    dataset: str
    settings: list[dict[str, str]]


def warm_starts(
    protocol: Protocol, storage: RDBStorage, known: Sequence[dict[str, Any]], count: int
) -> list[tuple[dict[str, Any], str]]:
    """Returns up to `count` settings that are not `known`, each with the name of the study that it is from.

    The best setting of each study comes first, then the second of each, and so on; studies of the same dataset come
    before others. Values that are not searched now are left out, and those that were not searched then are taken from
    params.yaml. A setting with a value outside the present space is skipped. UserError where the evidence is damaged.
    """
    pasts = [*_studies(protocol, storage)]
    for evidence in _evidence(protocol):
        if evidence.name not in (protocol.name, *(past.name for past in pasts)):
            pasts.append(evidence)
    pasts.sort(key=lambda past: (past.dataset != protocol.config.dataset, past.name))
    starts: list[tuple[dict[str, Any], str]] = []
    for equals in zip_longest(*(past.settings for past in pasts)):
        for past, setting in zip(pasts, equals, strict=True):
            params = setting and _within(protocol, setting)
            if params and len(starts) < count and params not in (*known, *(taken for taken, _ in starts)):
                starts.append((params, past.name))
    return starts


def _within(protocol: Protocol, setting: dict[str, str]) -> dict[str, Any] | None:
    """Returns the setting within the present space; None where a value lies outside of it."""
    try:
        now = {name: dimension.read(setting[name]) for name, dimension in protocol.space.items() if name in setting}
    except ValueError:
        return None
    return {**protocol.shipped, **now}


def _studies(protocol: Protocol, storage: RDBStorage) -> Iterator[Past]:
    """Yields the other studies of the system in the same storage."""
    datasets = "|".join(map(re.escape, catalog.CATALOG))
    pattern = re.compile(f"{re.escape(protocol.system)}-({datasets})-[0-9a-f]{{12}}")
    for name in optuna.get_all_study_names(storage):
        match = pattern.fullmatch(name)
        if match and name != protocol.name:
            trials = optuna.load_study(study_name=name, storage=storage).get_trials(states=[TrialState.COMPLETE])
            trials.sort(key=lambda trial: (-trial.values[0], trial.number))
            settings = [{key: written(value) for key, value in trial.params.items()} for trial in trials]
            yield Past(name, match[1], settings)


def _evidence(protocol: Protocol) -> list[Past]:
    """Returns what the last search of the system on each dataset left in git."""
    paths = sorted(protocol.layout.evidence.glob(f"*/{protocol.system}.csv"))
    return [
        _read_evidence(path, facts) for path in paths if (facts := read_json(path.with_suffix(".json"))) is not None
    ]


def _read_evidence(path: Path, facts: dict[str, Any]) -> Past:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = [row for row in csv.DictReader(stream) if row["state"] == "complete"]
        rows.sort(key=lambda row: (-float(row["score"]), int(row["number"])))
        prefix = "params_"
        settings = [
            {key.removeprefix(prefix): value for key, value in row.items() if key.startswith(prefix)} for row in rows
        ]
        return Past(facts.get("study") or path.name, facts["dataset"], settings)
    except (OSError, KeyError, TypeError, ValueError, AttributeError, csv.Error) as error:
        raise UserError(
            f"{path} is not what a search wrote ({type(error).__name__}: {error}): restore it with git, or set "
            "search.warm_start to 0"
        ) from None
