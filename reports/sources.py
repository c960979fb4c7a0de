"""All that a report is made from, read once and handed to every artefact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from reports.averaging import read_averaging
from reports.errors import ReportError
from reports.estimation import read_gradient, read_training
from reports.gallery import Sweep, read_sweep
from reports.names import Name, name_systems
from reports.results import read_results
from reports.search import Search, read_searches


@dataclass(frozen=True)
class Sources:
    """The checked results (`results.COLUMNS`), the sweep that made them, its folder of pictures, and the
    systems' names in their order; accuracy by codes averaged over (`averaging.COLUMNS`, the trial's grid point
    beside them, maybe no rows); the evidence, whose parts may be absent (`estimation`, `search`)."""

    results: pd.DataFrame
    sweep: Sweep
    gallery: Path
    names: Mapping[str, Name]
    averaging: pd.DataFrame
    gradient: pd.DataFrame | None
    training: pd.DataFrame | None
    searches: Mapping[str, Search]


def read_sources(results: Path, gallery: Path, evidence: Path) -> Sources:
    """Reads results.csv, averaging.csv beside it, the gallery and the evidence; ReportError where one of them
    is wrong or they disagree."""
    frame, sweep = read_results(results), read_sweep(gallery)
    dataset = frame["dataset"].iloc[0]
    if sweep.dataset != dataset:
        raise ReportError(
            f"{results} is about {dataset} but {gallery / 'sweep.json'} about {sweep.dataset}; "
            "`python -m experiments run` writes both"
        )
    return Sources(
        results=frame,
        sweep=sweep,
        gallery=gallery,
        names=name_systems(frame["system"]),
        averaging=read_averaging(results.with_name("averaging.csv"), frame),
        gradient=read_gradient(evidence / "estimators-gradient.csv"),
        training=read_training(evidence / "estimators-training.csv"),
        searches=read_searches(evidence / "search"),
    )
