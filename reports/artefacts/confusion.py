"""Which classes the systems mistake for which, and how well each class is recognised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from reports.analysis import confusion as analysis
from reports.analysis.statistics import headline
from reports.artefacts.contract import Artefact, register
from reports.drawing import style as drawing
from reports.drawing.confusion import Panel, confusion_figure
from reports.inputs.predictions import Predictions
from reports.inputs.sources import Sources
from reports.names import Name, percent
from reports.writing import listing
from reports.writing.embedding import figure_section
from reports.writing.escaping import for_csv
from reports.writing.listing import Listing
from reports.writing.templating import number, render

DRAWN = 20  # classes, at most, of a matrix that can be read
WORST = 15  # classes in the table where there are more
USUAL = 3  # the most frequent mistakes of a system and proportion that the table shows
KINDS = ("all images", "labelled images")  # what a system learns from


@dataclass(frozen=True, eq=False)
class Confusion:
    """What a system at a proportion takes the test images for, from `analysis.confusion`, over these trials."""

    system: str
    proportion: float
    counts: pd.DataFrame
    trial_ids: tuple[str, ...]

    @property
    def key(self) -> dict[str, object]:
        """The first columns of its rows in a table."""
        return {"system": self.system, "proportion": self.proportion}

    def heading(self, names: Mapping[str, Name]) -> str:
        """Its name for readers, such as "BSVM, 10%"."""
        return f"{names[self.system].label}, {percent(self.proportion)}"


@register(place=54, learns=("labels",))
def confusion(sources: Sources) -> Artefact:
    """Makes tables/classes.*, tables/mistakes.*, tables/confusion.csv, figures/confusion.* and their section.

    There is no figure of more than DRAWN classes, and nothing at all without predictions.
    """
    rows, names, classes = headline(sources.results), sources.names, sources.predictions.names
    found = confusions(rows, names, sources.predictions)
    if not found:
        return Artefact()
    shown = of_the_best(rows, names, found)
    usual = _usual_mistakes(shown, classes)
    by_class, by_mistake = _classes_listing(shown, names, classes), _mistakes_listing(usual, names)
    files = listing.files(by_class, _by_class(found, classes), "classes") | listing.files(by_mistake, usual, "mistakes")
    files |= {"tables/confusion.csv": for_csv(pd.concat([_named(one.counts, one, classes) for one in found]))}
    figure = ""
    if len(classes) <= DRAWN and (panels := _panels(shown, names, len(classes))):
        files |= drawing.files(confusion_figure(panels, classes), "confusion")
        caption = (
            "What the test images of each class (row) are taken for (column), in percent, over all repetitions; the "
            "colour shows mistakes alone. Above the fewest labels, below the most."
        )
        figure = figure_section(files["figures/confusion.svg"], "confusion", caption)
    html = render("confusion.html", figure=figure, classes=listing.html(by_class), mistakes=listing.html(by_mistake))
    return Artefact(files, "Classes and mistakes", html)


def confusions(rows: pd.DataFrame, names: Mapping[str, Name], predictions: Predictions) -> list[Confusion]:
    """Returns the confusions of each system and proportion that has predictions, systems in the order of `names`."""
    known = rows[rows["trial_id"].isin(list(predictions.guesses))]
    return [
        Confusion(
            system,
            float(proportion),
            analysis.confusion(predictions.labels, [predictions.guesses[name] for name in trials["trial_id"]]),
            tuple(trials["trial_id"]),
        )
        for system in names
        for proportion, trials in known[known["system"] == system].groupby("proportion")
    ]


def of_the_best(rows: pd.DataFrame, names: Mapping[str, Name], found: Sequence[Confusion]) -> list[Confusion]:
    """Returns the confusions of the best system of each of KINDS, by its mean accuracy over its proportions."""
    means = rows[rows["status"] == "done"].groupby(["system", "proportion"])["top1"].mean().groupby("system").mean()
    best = []
    for kind in KINDS:
        systems = {one.system for one in found if names[one.system].learns_from == kind}
        best += [means[means.index.isin(systems)].idxmax()] if systems else []
    return [one for system in best or [found[0].system] for one in found if one.system == system]


def _named(counts: pd.DataFrame, one: Confusion, classes: Sequence[str]) -> pd.DataFrame:
    """Returns rows of `analysis.confusion` with their system, proportion and the names of the classes."""
    named = {
        "class": counts["true"].map(dict(enumerate(classes))),
        "taken_for": counts["said"].map(dict(enumerate(classes))),
    }
    table = pd.DataFrame({**named, "share": counts["share"], "images": counts["count"] / len(one.trial_ids)})
    return table.assign(**one.key)[["system", "proportion", *table.columns]]


def _by_class(found: Sequence[Confusion], classes: Sequence[str]) -> pd.DataFrame:
    return pd.concat(
        pd.DataFrame({"class": list(classes), "accuracy": analysis.accuracies(one.counts, len(classes))}).assign(
            **one.key, n=len(one.trial_ids), trial_ids=" ".join(one.trial_ids)
        )
        for one in found
    )[["system", "proportion", "class", "accuracy", "n", "trial_ids"]]


def _classes_listing(shown: Sequence[Confusion], names: Mapping[str, Name], classes: Sequence[str]) -> Listing:
    found = np.array([analysis.accuracies(one.counts, len(classes)) for one in shown])
    known = np.flatnonzero(~np.isnan(found).all(0))  # classes that have test images
    many = len(classes) > DRAWN
    places = known[np.argsort(found[:, known].mean(0), kind="stable")[:WORST]] if many else range(len(classes))
    rows = [[classes[place], *(number(value, 1) for value in found[:, place])] for place in places]
    which = f", the {len(rows)} worst of {len(classes):,} classes" if many else ""
    caption = f"Accuracy (%) on the test images of each class, mean over repetitions{which}."
    return Listing(caption, ["Class", *(one.heading(names) for one in shown)], {"": rows}, dense=True)


def _usual_mistakes(shown: Sequence[Confusion], classes: Sequence[str]) -> pd.DataFrame:
    return pd.concat([_named(analysis.mistakes(one.counts, USUAL), one, classes) for one in shown])


def _mistakes_listing(usual: pd.DataFrame, names: Mapping[str, Name]) -> Listing:
    groups: dict[str, list[list[str]]] = {}
    for row in usual.to_dict("records"):
        numbers = [number(row["share"], 1), number(row["images"], 1)]
        cells = [percent(row["proportion"]), row["class"], row["taken_for"], *numbers]
        groups.setdefault(names[row["system"]].label, []).append(cells)
    head = ["Labels", "Class", "Taken for", "% of the class", "Images"]
    note = "Images: test images a repetition, on average."
    return Listing(f"The {USUAL} most frequent mistakes.", head, groups, note, words=3)


def _panels(shown: Sequence[Confusion], names: Mapping[str, Name], classes: int) -> list[list[Panel]]:
    """Returns a row of panels for the fewest labels and one for the most, with the systems side by side."""
    by_place = {(one.system, one.proportion): one for one in shown}
    systems = list(dict.fromkeys(one.system for one in shown))
    shared = set.intersection(*({one.proportion for one in shown if one.system == system} for system in systems))
    rows = sorted({min(shared), max(shared)}) if shared else []
    return [
        [
            Panel(one.heading(names), analysis.matrix(one.counts, classes))
            for one in (by_place[system, at] for system in systems)
        ]
        for at in rows
    ]
