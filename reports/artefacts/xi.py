"""Accuracy against ξ, the weight of the label term."""

from __future__ import annotations

from reports import drawing, figures
from reports.artefacts.contract import Artefact, register
from reports.embedding import figure_section
from reports.sources import Sources
from reports.statistics import ACCURACIES, INTERVAL, summarise, xi_study
from reports.templating import render


@register(place=50)
def xi(sources: Sources) -> Artefact:
    """figures/xi.{png,svg,pdf}, tables/xi.csv, and their section."""
    study = xi_study(sources.results)
    tidy = summarise(study, list(ACCURACIES), ["system", "proportion", "xi"])
    values = study.groupby(["system", "proportion", "xi"])["xi_value"].mean().rename("xi_value").reset_index()
    tidy = tidy.merge(values, how="left").sort_values(["metric", "system", "proportion", "xi_value"])
    files = drawing.files(figures.xi_figure(study, sources.names), "xi")
    caption = (
        "Accuracy against ξ, in the order of its values (a category axis, so that ξ = 0 is shown). Small "
        f"dots: single repetitions; bars: {INTERVAL}."
    )
    html = render(
        "xi.html",
        figure=figure_section(files["figures/xi.svg"], "xi", caption),
        rows=tidy[tidy["metric"] == "top1"].to_dict("records"),
        names=sources.names,
    )
    columns = ["metric", "system", "proportion", "xi", "xi_value", "mean", "std", "n", "asked", "trial_ids"]
    csv = tidy[columns].to_csv(index=False, lineterminator="\n", float_format="%.10g")
    return Artefact(files | {"tables/xi.csv": csv.encode()}, "Accuracy against ξ", html)
