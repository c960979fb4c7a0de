"""The differences in caption scores are those of the trials."""

from __future__ import annotations

import csv

import numpy as np
import pandas as pd
import pytest

from reports.analysis.comparison import against_all, compare
from reports.names import name_systems
from reports.scores import SCORES


def frame(captioned) -> pd.DataFrame:
    """The finished trials in the tables."""
    raw = pd.read_csv(captioned.results, dtype={"xi": str}, keep_default_na=False).replace("", np.nan)
    rows = raw[(raw["status"] == "done") & (raw["xi"].isna() | (raw["xi"] == "auto"))]
    return rows.assign(**{score: pd.to_numeric(rows[score]) for score in SCORES})


def test_differences_are_ours_minus_each_other_system(captioned, captioned_report):
    rows = list(csv.DictReader((captioned_report / "tables" / "differences.csv").open()))
    assert {(row["score"], row["system"], row["baseline"]) for row in rows} == {
        (score, "caption", other) for score in ("bleu4", "cider") for other in ("cnn-rnn", "neighbour")
    }
    trials = frame(captioned).set_index(["system", "proportion", "seed"])
    found = {(row["score"], row["baseline"], row["proportion"]): row for row in rows if row["family"] == "each"}
    for (score, other, proportion), row in found.items():
        ours, theirs = (
            (trials.loc[system, float(proportion)][score] for system in ("caption", other))
            if ((other, float(proportion)) in trials.index.droplevel("seed"))
            else (pd.Series(dtype=float), pd.Series(dtype=float))
        )
        differences = (ours - theirs).dropna()
        assert int(row["n"]) == len(differences)
        if len(differences):
            assert float(row["mean"]) == pytest.approx(differences.mean())
            assert int(row["wins"]) == (differences > 0).sum()


def test_five_wins_of_five_have_the_smallest_p(world):
    made = world.captioned
    rows = pd.DataFrame(made.grid(5)).query("xi in ('', 'auto')")
    table = compare(rows, name_systems(rows["system"]), "cider", against_all)
    each = table[(table["family"] == "each") & (table["proportion"] == 0.02) & (table["baseline"] == "cnn-rnn")]
    assert (each["wins"].item(), each["p"].item()) == (5, 0.0625)
