"""The estimators of the gradient through the switches: the error of each, and its effect on training."""

from __future__ import annotations

import pandas as pd

from reports.artefacts.contract import Artefact, register
from reports.drawing import style as drawing
from reports.drawing.estimators import estimator_figure
from reports.inputs.sources import Sources
from reports.writing import listing
from reports.writing.embedding import figure_section
from reports.writing.listing import Listing
from reports.writing.templating import number, render

AFTER = {"steps": 0, "elbo": 1, "kl_switches": 1, "kl_code": 1, "top1": 2}


@register(place=55, learns=("labels",))
def estimators(sources: Sources) -> Artefact:
    """Makes figures/estimators.*, tables/estimators-{gradient,training}.* and their section.

    There is nothing without the study in the evidence; one of its two files is enough.
    """
    gradient, training = sources.gradient, sources.training
    if gradient is None and training is None:
        return Artefact()
    files = drawing.files(estimator_figure(gradient, training), "estimators")
    caption = (
        "Above: distance of the mean gradient from the exact one, relative to its length (dashes: the "
        "distance that an unbiased estimator shows by chance), and variance relative to its square. Below: single "
        "seeds (dots) and their means after equal training time."
    )
    fragments = []
    for part, make, stem in (
        (gradient, _gradient, "estimators-gradient"),
        (training, _training, "estimators-training"),
    ):
        if part is not None:
            table = make(part)
            files |= listing.files(table, part, stem)
            fragments.append(listing.html(table))
    figure = figure_section(files["figures/estimators.svg"], "estimators", caption)
    html = render("estimators.html", figure=figure, tables=fragments)
    return Artefact(files, "Gradients through the switches", html)


def _gradient(table: pd.DataFrame) -> Listing:
    groups: dict[str, list[list[str]]] = {}
    for row in table.itertuples():
        bias = number(row.bias, 4) + ("" if pd.isna(row.bias_se) else f" ({row.bias_se:.4f})")
        cells = [row.estimator, str(row.draws), str(row.stage), bias, f"{row.variance:.4g}", number(row.ms_per_step)]
        groups.setdefault(f"{row.reading} q", []).append(cells)
    return Listing(
        "Error of the gradient with respect to the pooling switches’ parameters, against the exact gradient.",
        ["Estimator", "Draws", "Epochs before", "Relative bias", "Relative variance", "ms a step"],
        groups,
        "In parentheses: the bias that an unbiased estimator would show by chance.",
    )


def _training(table: pd.DataFrame) -> Listing:
    groups: dict[str, list[list[str]]] = {}
    for (reading, estimator), rows in table.groupby(["reading", "estimator"], sort=False):
        cells = [_spread(rows[column], digits) for column, digits in AFTER.items()]
        seconds = number(rows["seconds"].mean(), 1)
        groups.setdefault(f"{reading} q", []).append([estimator, str(len(rows)), seconds, *cells])
    return Listing(
        "After equal training time: mean ± sample standard deviation over seeds, on the validation images.",
        ["Estimator", "Seeds", "s", "Steps", "Bound (nats)", "KL switches", "KL code", "top-1 (%)"],
        groups,
    )


def _spread(values: pd.Series, digits: int) -> str:
    spread = f" ± {number(values.std(), digits)}" if len(values) > 1 else ""
    return number(values.mean(), digits) + spread
