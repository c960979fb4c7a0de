"""All that a report is made from, read once and handed to every artefact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from reports.errors import ReportError
from reports.gallery import Sweep, read_sweep
from reports.names import Name, name_systems
from reports.results import read_results


@dataclass(frozen=True)
class Sources:
    """The checked results (`results.COLUMNS`), the sweep that made them, its folder of pictures, and the
    systems' names in their order."""

    results: pd.DataFrame
    sweep: Sweep
    gallery: Path
    names: Mapping[str, Name]


def read_sources(results: Path, gallery: Path) -> Sources:
    """Reads results.csv and the gallery beside it; ReportError where either is wrong or they disagree."""
    frame, sweep = read_results(results), read_sweep(gallery)
    dataset = frame["dataset"].iloc[0]
    if sweep.dataset != dataset:
        raise ReportError(
            f"{results} is about {dataset} but {gallery / 'sweep.json'} about {sweep.dataset}; "
            "`python -m experiments run` writes both"
        )
    return Sources(frame, sweep, gallery, name_systems(frame["system"]))
