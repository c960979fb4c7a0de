"""All that a report is made from, read once and handed to every artefact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from reports.errors import UserError
from reports.inputs.averaging import read_averaging
from reports.inputs.captions import Captions, read_captions
from reports.inputs.estimators import read_gradient, read_training
from reports.inputs.gallery import Sweep, read_sweep
from reports.inputs.results import read_results
from reports.inputs.search import Search, read_searches
from reports.inputs.subsets import read_subsets
from reports.kinds import Kind, kind_of
from reports.names import Name, name_systems


@dataclass(frozen=True)
class Sources:
    """The kind of results and the checked results themselves (`results.COLUMNS`), the sweep that made them, its
    folder of pictures, and the systems' names in their order; accuracy by codes averaged over (`averaging.COLUMNS`,
    the trial's grid point beside them, maybe no rows); scores by subset of the test images (`subsets.COLUMNS`, as
    there, maybe no rows) and what is said of some of them, where the results are about captions; the evidence, whose
    parts may be absent (`estimation`, `search`)."""

    kind: Kind
    results: pd.DataFrame
    sweep: Sweep
    gallery: Path
    names: Mapping[str, Name]
    averaging: pd.DataFrame
    subsets: pd.DataFrame
    captions: Captions | None
    gradient: pd.DataFrame | None
    training: pd.DataFrame | None
    searches: Mapping[str, Search]


def read_sources(results: Path, gallery: Path, evidence: Path) -> Sources:
    """Reads results.csv, averaging.csv and subsets.csv beside it, the gallery and the evidence; UserError where
    one of them is wrong or they disagree."""
    frame, sweep = read_results(results), read_sweep(gallery)
    dataset = frame["dataset"].iloc[0]
    if sweep.dataset != dataset:
        raise UserError(
            f"{results} is about {dataset} but {gallery / 'sweep.json'} about {sweep.dataset}; "
            "`python -m experiments run` writes both"
        )
    return Sources(
        kind=kind_of(frame),
        results=frame,
        sweep=sweep,
        gallery=gallery,
        names=name_systems(frame["system"]),
        averaging=read_averaging(results.with_name("averaging.csv"), frame),
        subsets=read_subsets(results.with_name("subsets.csv"), frame),
        captions=read_captions(gallery, frame),
        gradient=read_gradient(evidence / "estimators-gradient.csv"),
        training=read_training(evidence / "estimators-training.csv"),
        searches=read_searches(evidence / "search"),
    )
