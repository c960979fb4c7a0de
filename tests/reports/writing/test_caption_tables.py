"""The numbers in the tables of captions are those of the trials, computed by hand."""

from __future__ import annotations

import csv
import re

import numpy as np
import pandas as pd
import pytest

from reports.analysis.statistics import estimate, headline
from reports.drawing.captions import caption_figure
from reports.inputs.results import read_results
from reports.names import name_systems
from reports.scores import SCORES
from reports.writing.caption_tables import caption_table
from tests.reports.writing.test_tables import Rows, from_latex, from_markdown

TITLES = ["BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "METEOR", "ROUGE-L", "CIDEr", "Perplexity"]

LABELS = {"caption": "VAE + RNN (ours)", "cnn-rnn": "CNN + RNN", "neighbour": "Nearest neighbours in code space"}


def with_bold(text: str) -> list[list[str]]:
    """The rows of a Markdown table, bold cells in their asterisks."""
    lines = [line.strip("| ").split("|") for line in text.splitlines() if line[:1] == "|" and ":--" not in line]
    rows = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    return [[row[0].strip("*"), *row[1:]] for row in rows]


def cells(rows: list[list[str]], words: int = 1) -> dict[tuple[str, ...], str]:
    """{(group, words of the row, column): text} of a listing's parsed rows."""
    found, group, head = {}, "", rows[0]
    for row in rows[1:]:
        if len(row) == 1:
            group = row[0]
        else:
            key = (group, *row[:words])
            found |= {(*key, column): text for column, text in zip(head[words:], row[words:], strict=True)}
    return found


def expected(values: pd.Series, digits: int, asked: int) -> str:
    """A cell by hand."""
    spread = f" ± {values.std():.{digits}f}" if len(values) > 1 else ""
    short = "" if len(values) == asked else f" (n={len(values)}/{asked})"
    return f"{values.mean():.{digits}f}{spread}{short}"


def frame(captioned) -> pd.DataFrame:
    """The finished trials in the tables."""
    raw = pd.read_csv(captioned.results, dtype={"xi": str}, keep_default_na=False).replace("", np.nan)
    rows = raw[(raw["status"] == "done") & (raw["xi"].isna() | (raw["xi"] == "auto"))]
    return rows.assign(**{score: pd.to_numeric(rows[score]) for score in SCORES})


def test_the_forms_agree_with_each_other_and_with_the_trials(captioned, captioned_report):
    folder = captioned_report / "tables"
    bold = cells(with_bold((folder / "captions.md").read_text()))
    found = {key: text.replace("**", "") for key, text in bold.items()}
    latex = (folder / "captions.tex").read_text()
    assert latex.count(r"\textbf{") == sum(text.startswith("**") for text in bold.values()) == 3 * 8
    assert found == cells(from_latex(re.sub(r"\\textbf{(.*?)}", r"\1", latex)))
    assert found == cells(Rows((folder / "captions.html").read_text()).rows)
    rows = frame(captioned)
    for (system, proportion), trials in rows.groupby(["system", "proportion"]):
        group = f"{100 * proportion:g}% of the captions ({round(4000 * proportion):,} captioned images)"
        for title, (score, own) in zip(TITLES, SCORES.items(), strict=True):
            values = trials[score].dropna()
            by_hand = expected(values, own.digits, 2) if len(values) else "—"
            assert found[group, LABELS[system], title] == by_hand
    assert found["100% of the captions (4,000 captioned images)", LABELS["neighbour"], "CIDEr"] == "— (n=0/2)"
    assert found["2% of the captions (80 captioned images)", LABELS["neighbour"], "Perplexity"] == "—"


def test_the_best_mean_is_bold_and_the_lowest_perplexity(captioned, captioned_report):
    rows = frame(captioned)
    bold = cells(with_bold((captioned_report / "tables" / "captions.md").read_text()))
    for proportion, trials in rows.groupby("proportion"):
        means = trials.groupby("system")[list(SCORES)].mean()
        group = f"{100 * proportion:g}% of the captions ({round(4000 * proportion):,} captioned images)"
        for title, score in zip(TITLES, SCORES, strict=True):
            best = means[score].idxmin() if score == "perplexity" else means[score].idxmax()
            found = [label for label in LABELS.values() if bold[group, label, title].startswith("**")]
            assert found == [LABELS[best]]


def test_the_tidy_numbers_name_their_trials(captioned, captioned_report):
    rows = list(csv.DictReader((captioned_report / "tables" / "captions.csv").open()))
    assert list(rows[0]) == ["metric", "system", "proportion", "mean", "std", "n", "asked", "trial_ids"]
    assert len(rows) == 8 * 3 * 3
    trials = frame(captioned).set_index("trial_id")
    for row in rows:
        ids = row["trial_ids"].split()
        assert len(ids) == int(row["n"])
        if ids:
            assert float(row["mean"]) == pytest.approx(trials.loc[ids, row["metric"]].mean())


def test_without_java_there_is_no_meteor_anywhere(world, tmp_path):
    made = world.captioned
    sweep = world.write_captioned(tmp_path, made.without_meteor(made.grid(2)), images=2)
    rows = headline(read_results(sweep.results))
    table, _ = caption_table(rows, name_systems(rows["system"]), {})
    column = table.head.index("METEOR")
    assert {str(row[column]) for group in table.groups.values() for row in group} == {"—"}
    assert "METEOR was not computed: its program needs Java." in table.note
    tidy = estimate(rows, ["bleu4", "cider", "meteor", "perplexity"], ["system", "proportion"])
    figure = caption_figure(tidy, name_systems(rows["system"]), {})
    assert [axes.get_title() for axes in figure.axes] == ["BLEU-4", "CIDEr", "Perplexity (lower is better)"]


def test_subsets_stand_apart_with_their_images(captioned, captioned_report):
    found = cells(from_markdown((captioned_report / "tables" / "subsets.md").read_text()), words=2)
    raw = pd.read_csv(captioned.results.with_name("subsets.csv"))
    trials = frame(captioned)
    for (system, proportion), group in trials.groupby(["system", "proportion"]):
        for subset, images in (("same", "338"), ("unseen", "662")):
            mine = raw[(raw["subset"] == subset) & raw["trial_id"].isin(group["trial_id"])]
            key = (f"{100 * proportion:g}% of the captions", LABELS[system], subset)
            assert found[(*key, "Images")] == images
            text = found[(*key, "BLEU-4")].replace("**", "")
            assert text.startswith(f"{mine['bleu4'].mean():.3f}")
            if system == "neighbour":
                assert found[(*key, "Perplexity")] == "—"
