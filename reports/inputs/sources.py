"""Everything that a report is made from, read once and passed to every artefact."""

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
from reports.inputs.paths import shortened
from reports.inputs.predictions import Predictions, read_predictions
from reports.inputs.results import read_results
from reports.inputs.search import Search, read_searches
from reports.inputs.subsets import read_subsets
from reports.names import Name, name_systems
from reports.result_kinds import Kind, kind_of


@dataclass(frozen=True)
class Sources:
    """The checked inputs of a report.

    Attributes:
        kind: whether the results are about labels or captions.
        results: one row per trial, from `read_results`.
        sweep: how the results were made.
        gallery: the folder of pictures.
        names: of the systems, in their order.
        averaging: accuracy by N_s, from `read_averaging`; may have no rows.
        subsets: caption scores by subset of the test images, from `read_subsets`; may have no rows.
        predictions: of all test images, by trial; may have no trials.
        captions: captions of some test images; None for results about labels.
        gradient, training: the study of gradient estimators in the evidence; None where absent.
        searches: the searches for settings on the dataset in the evidence, by system.
    """

    kind: Kind
    results: pd.DataFrame
    sweep: Sweep
    gallery: Path
    names: Mapping[str, Name]
    averaging: pd.DataFrame
    subsets: pd.DataFrame
    predictions: Predictions
    captions: Captions | None
    gradient: pd.DataFrame | None
    training: pd.DataFrame | None
    searches: Mapping[str, Search]


def read_sources(results: Path, gallery: Path, evidence: Path) -> Sources:
    """Reads results.csv, averaging.csv, subsets.csv and predictions.csv.gz beside it, the gallery and the evidence.

    Raises:
        UserError: one of them is wrong, or they disagree.
    """
    frame, sweep = read_results(results), read_sweep(gallery)
    dataset = frame["dataset"].iloc[0]
    if sweep.dataset != dataset:
        raise UserError(
            f"{results} is about {dataset} but {gallery / 'sweep.json'} about {shortened(sweep.dataset)}; "
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
        predictions=read_predictions(results.with_name("predictions.csv.gz"), frame),
        captions=read_captions(gallery, frame),
        gradient=read_gradient(evidence / "estimators-gradient.csv"),
        training=read_training(evidence / "estimators-training.csv"),
        searches=read_searches(evidence / "search" / dataset),
    )
