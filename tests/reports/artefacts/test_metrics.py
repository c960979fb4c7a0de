"""metrics.json and plots/ have the means of the trials."""

from __future__ import annotations

import csv
import json

import numpy as np
import pandas as pd
import pytest

from reports.scores import SCORES


def frame(captioned) -> pd.DataFrame:
    """The finished trials in the tables."""
    raw = pd.read_csv(captioned.results, dtype={"xi": str}, keep_default_na=False).replace("", np.nan)
    rows = raw[(raw["status"] == "done") & (raw["xi"].isna() | (raw["xi"] == "auto"))]
    return rows.assign(**{score: pd.to_numeric(rows[score]) for score in SCORES})


def test_metrics_and_plot_have_the_scores_and_leave_gaps_empty(captioned, captioned_report):
    metrics = json.loads((captioned_report / "metrics.json").read_text())
    assert list(metrics) == ["caption", "cnn-rnn", "neighbour", "trials"]
    trials = frame(captioned)
    ours = trials[(trials["system"] == "caption") & (trials["proportion"] == 0.1)]
    assert metrics["caption"]["10%"] == {
        score: pytest.approx(ours[score].mean(), abs=1e-4) for score in ("bleu4", "meteor", "cider", "perplexity")
    }
    assert list(metrics["neighbour"]["2%"]) == ["bleu4", "meteor", "cider"]
    assert metrics["neighbour"]["100%"] == {}
    rows = list(csv.DictReader((captioned_report / "plots" / "captions.csv").open()))
    assert list(rows[0]) == ["captioned_percent", "system", "bleu4", "meteor", "cider", "perplexity"]
    assert len(rows) == 9
