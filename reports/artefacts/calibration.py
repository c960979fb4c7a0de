"""The calibration of the predicted probabilities, their cost, and the effect of averaging over codes on both."""

from __future__ import annotations

import pandas as pd

from reports.analysis.statistics import INTERVAL, estimate, headline, summarise
from reports.artefacts.contract import Artefact, register
from reports.drawing import style as drawing
from reports.drawing.averaging import MEASURES, averaging_figure
from reports.inputs.results import LATER
from reports.inputs.sources import Sources
from reports.names import percent
from reports.writing import listing, tables
from reports.writing.embedding import figure_section
from reports.writing.listing import Listing
from reports.writing.templating import number, render

COLUMNS = {
    "ece": "ECE (%)",
    "ece_scaled": "ECE after temperature scaling (%)",
    "temperature": "Temperature",
    "train_seconds": "Training (s)",
    "test_ms_per_image": "Test (ms an image)",
}


@register(place=52, learns=("labels",))
def calibration(sources: Sources) -> Artefact:
    """Makes tables/calibration.* and their section, and tables/averaging.* and figures/averaging.*.

    The latter two are made only where systems averaged over codes.
    """
    rows = headline(sources.results)
    columns = {name: title for name, title in COLUMNS.items() if name not in LATER or rows[name].notna().any()}
    tidy = summarise(rows, list(columns), ["system", "proportion"])
    usual = int(tidy["asked"].mode().max())
    table = tables.Table(
        caption=f"Expected calibration error (ECE) on the test images of {sources.sweep.dataset} and time.",
        note=tables.note(usual),
        rows=tables.labels(rows, sources.names),
        proportions=tuple(sorted(tidy["proportion"].unique())),
        blocks=tables.cells(tidy, columns, usual),
        beyond=tables.beyond(sources.names),
    )
    files, figure, averaged = tables.files(table, tidy, "calibration"), "", ""
    codes = _codes(sources, rows)
    if len(codes):
        each = estimate(codes, list(MEASURES), ["system", "proportion", "draws"])
        pooled = estimate(_pool(codes), list(MEASURES), ["system", "draws"])
        drawn = drawing.files(averaging_figure(pooled, sources.names), "averaging")
        table_by_draws = _listing(each, sources)
        files |= drawn | listing.files(table_by_draws, each, "averaging")
        caption = (
            "Averaged predictions by the number of codes N_s, over all labelled proportions (only repetitions with "
            f"every one); bars: {INTERVAL}."
        )
        figure = figure_section(drawn["figures/averaging.svg"], "averaging", caption)
        averaged = listing.html(table_by_draws)
    html = render("calibration.html", table=tables.html(table), figure=figure, averaged=averaged)
    return Artefact(files, "Calibration and cost", html)


def _codes(sources: Sources, rows: pd.DataFrame) -> pd.DataFrame:
    """Returns the rows of averaging.csv for the trials of the main tables, all of them done."""
    codes = sources.averaging
    return codes[codes["trial_id"].isin(rows["trial_id"])].assign(status="done")


def _pool(codes: pd.DataFrame) -> pd.DataFrame:
    """Averages over the proportions: one row per system, seed and N_s, for seeds that have every proportion."""
    every = codes.groupby(["system", "draws"])["proportion"].transform("nunique")
    whole = codes[codes.groupby(["system", "draws", "seed"])["proportion"].transform("nunique") == every]
    groups = whole.groupby(["system", "draws", "seed"])
    pooled = groups.agg(**{measure: (measure, "mean") for measure in MEASURES}, trial_id=("trial_id", " ".join))
    return pooled.reset_index().assign(status="done")


def _listing(each: pd.DataFrame, sources: Sources) -> Listing:
    wide = each.set_index(["system", "proportion", "draws", "metric"])["mean"].unstack("metric")
    digits = {"top1": 2, "ece": 2, "ms_per_image": 3}
    groups: dict[str, list[list[str]]] = {}
    for system, name in sources.names.items():
        for (_, proportion, draws), row in wide[wide.index.get_level_values("system") == system].iterrows():
            cells = [number(row[measure], places) for measure, places in digits.items()]
            groups.setdefault(name.label, []).append([percent(proportion), str(draws), *cells])
    return Listing(
        "Accuracy, calibration error and time by the number of codes averaged over, N_s (0: the mean code).",
        ["Proportion", "N_s", *MEASURES.values()],
        groups,
        "Means over repetitions.",
    )
