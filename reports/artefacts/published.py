"""The paper's own Table 1, in the layout of ours: another dataset, ImageNet 2012, so compare the shapes."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from reports.artefacts.contract import Artefact, register
from reports.drawing import accuracy as figures
from reports.drawing import style as drawing
from reports.inputs.sources import Sources
from reports.kinds import ACCURACIES
from reports.names import name_systems
from reports.writing import tables
from reports.writing.embedding import figure_section
from reports.writing.templating import render

NUMBERS = Path(__file__).parents[1] / "paper" / "table1.csv"
DATASET = "ImageNet 2012"
PAPER = "Pu et al. (2016), Variational Autoencoder for Deep Learning of Images, Labels and Captions"


@register(place=40, learns=("labels",))
def published(sources: Sources) -> Artefact:
    """tables/published.*, figures/published.* and their section; the same whatever the results."""
    table, tidy = published_table()
    tidy_csv = tidy.assign(dataset=DATASET)
    ends = {"low": tidy["mean"] - tidy["std"], "high": tidy["mean"] + tidy["std"], "n": math.nan, "asked": math.nan}
    figure = figures.accuracy_figure(tidy.assign(**ends), name_systems(table.rows), {})
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
    """The paper's Table 1 with its digits as printed, and tidy (metric, system, proportion, mean, std)."""
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
