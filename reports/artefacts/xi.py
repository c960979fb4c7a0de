"""Accuracy or caption scores against ξ, the weight of the label or caption term in the objective."""

from __future__ import annotations

from reports.analysis.statistics import INTERVAL, summarise, xi_study
from reports.artefacts.contract import Artefact, register
from reports.drawing import style as drawing
from reports.drawing.xi import xi_figure
from reports.inputs.sources import Sources
from reports.writing.embedding import figure_section
from reports.writing.escaping import for_csv
from reports.writing.templating import render

TITLES = {"labels": "Accuracy", "captions": "Scores"}


@register(place=50)
def xi(sources: Sources) -> Artefact:
    """Makes figures/xi.{png,svg,pdf}, tables/xi.csv and their section."""
    study, kind = xi_study(sources.results), sources.kind
    tidy = summarise(study, list(kind.studied), ["system", "proportion", "xi"])
    values = study.groupby(["system", "proportion", "xi"])["xi_value"].mean().rename("xi_value").reset_index()
    tidy = tidy.merge(values, how="left").sort_values(["metric", "system", "proportion", "xi_value"])
    files = drawing.files(xi_figure(study, sources.names, kind), "xi")
    what = TITLES[kind.learns]
    caption = (
        f"{what} against ξ, in the order of its values (a category axis, so that ξ = 0 is shown). Small "
        f"dots: single repetitions; bars: {INTERVAL}."
    )
    html = render(
        "xi.html",
        figure=figure_section(files["figures/xi.svg"], "xi", caption),
        rows=tidy[tidy["metric"] == kind.first].to_dict("records"),
        names=sources.names,
        kind=kind,
    )
    columns = ["metric", "system", "proportion", "xi", "xi_value", "mean", "std", "n", "asked", "trial_ids"]
    return Artefact(files | {"tables/xi.csv": for_csv(tidy[columns])}, f"{what} against ξ", html)
