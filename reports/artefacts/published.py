"""The paper's own Table 1 in the layout of ours. Its dataset is ImageNet 2012, so only the shapes compare."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from reports.artefacts.contract import Artefact, register
from reports.drawing import style as drawing
from reports.drawing.accuracy import accuracy_figure
from reports.inputs.sources import Sources
from reports.names import name_systems
from reports.result_kinds import ACCURACIES
from reports.writing import tables
from reports.writing.embedding import figure_section
from reports.writing.templating import render

NUMBERS = Path(__file__).parents[1] / "paper" / "table1.csv"
DATASET = "ImageNet 2012"
PAPER = "Pu et al. (2016), Variational Autoencoder for Deep Learning of Images, Labels and Captions"


@register(place=40, learns=("labels",))
def published(sources: Sources) -> Artefact:
    """Makes tables/published.*, figures/published.* and their section, which do not depend on the results."""
    table, tidy = published_table()
    tidy_csv = tidy.assign(dataset=DATASET)
    ends = {"low": tidy["mean"] - tidy["std"], "high": tidy["mean"] + tidy["std"], "n": math.nan, "asked": math.nan}
    figure = accuracy_figure(tidy.assign(**ends), name_systems(table.rows), {})
    drawn = drawing.files(figure, "published")
    caption = f"The published numbers above, on {DATASET}, drawn like Figure 1; bands and bars: ± 1 standard deviation."
    html = render(
        "published.html",
        dataset=DATASET,
        ours=sources.sweep.dataset,
        table=tables.html(table),
        figure=figure_section(drawn["figures/published.svg"], "published", caption),
    )
    files = tables.files(table, tidy_csv, "published") | drawn
    return Artefact(files, f"Published: another dataset, {DATASET}", html)


def published_table() -> tuple[tables.Table, pd.DataFrame]:
    """Builds the paper's Table 1 with the digits as printed, and its tidy numbers.

    Returns:
        The table; and the columns metric, system, proportion, mean, std.
    """
    printed = pd.read_csv(NUMBERS, dtype={"mean": str, "std": str}, keep_default_na=False)
    blocks: dict[str, dict[tuple[str, float], tables.Cell]] = {title: {} for title in ACCURACIES.values()}
    for row in printed.itertuples():
        blocks[ACCURACIES[row.metric]][row.system, row.proportion] = tables.Cell(row.mean, row.std)
    table = tables.Table(
        caption=f"Published numbers, another dataset: {DATASET}. Semi-supervised classification accuracy (%) "
        "on its validation set.",
        note=f"Table 1 of the supplement of {PAPER}: mean ± standard deviation where the paper gives one.",
        rows={system: name.label for system, name in name_systems(printed["system"]).items()},
        proportions=tuple(sorted(printed["proportion"].unique())),
        blocks=blocks,
    )
    tidy = printed.assign(mean=pd.to_numeric(printed["mean"]), std=pd.to_numeric(printed["std"]))
    return table, tidy[["metric", "system", "proportion", "mean", "std"]]
