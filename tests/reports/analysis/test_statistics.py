"""Means and spreads against Python's own statistics module; what belongs together; what stays missing."""

from __future__ import annotations

import math
import statistics

import pandas as pd
import pytest

from reports.analysis.statistics import count_statuses, headline, headline_xi, labelled_images, summarise, xi_study
from reports.inputs.results import read_results


@pytest.fixture(scope="module")
def results(sweep_files):
    return read_results(sweep_files.results)


def make(*rows: tuple) -> pd.DataFrame:
    columns = ["system", "proportion", "xi", "seed", "status", "top1", "trial_id"]
    return pd.DataFrame(rows, columns=columns).astype({"top1": "float64"})


def test_mean_and_sample_deviation_by_hand():
    """2, 4, 9: mean 5, sample variance (9 + 1 + 16) / 2 = 13."""
    three = make(*[("a", 0.1, "", seed, "done", top1, f"t{seed}") for seed, top1 in enumerate([2, 4, 9])])
    (row,) = summarise(three, ["top1"], ["system", "proportion"]).itertuples()
    assert (row.mean, row.n, row.asked, row.trial_ids) == (5, 3, 3, "t0 t1 t2")
    assert row.std == pytest.approx(math.sqrt(13), rel=1e-12)


def test_every_group_agrees_with_the_statistics_module(sweep_files, results):
    tidy = summarise(results, ["top1", "top5"], ["system", "proportion", "xi"])
    assert len(tidy) == 2 * (4 * 5 + 3)
    for row in tidy.itertuples():
        same = [
            other
            for other in sweep_files.rows
            if (other["system"], other["proportion"]) == (row.system, row.proportion)
            and (other["xi"] if isinstance(other["xi"], str) else f"{other['xi']:g}") == row.xi
        ]
        values = [other[row.metric] for other in same if other["status"] == "done"]
        assert (row.n, row.asked) == (len(values), len(same))
        assert set(row.trial_ids.split()) == {other["trial_id"] for other in same if other["status"] == "done"}
        if values:
            assert row.mean == pytest.approx(statistics.mean(values), rel=1e-12)
        else:
            assert math.isnan(row.mean)
        if len(values) > 1:
            assert row.std == pytest.approx(statistics.stdev(values), rel=1e-9)
        else:
            assert math.isnan(row.std)


def test_missing_and_failed_trials_are_not_averaged_away():
    rows = make(
        ("a", 0.1, "", 0, "done", 90, "x"),
        ("a", 0.1, "", 1, "failed", 10, "y"),  # whatever a failed trial left behind is not a result
        ("a", 0.2, "", 0, "missing", math.nan, "z"),
    )
    tidy = summarise(rows, ["top1"], ["system", "proportion"]).set_index("proportion")
    assert tidy.loc[0.1, ["mean", "n", "asked", "trial_ids"]].tolist() == [90, 1, 2, "x"]
    assert math.isnan(tidy.loc[0.1, "std"])
    assert math.isnan(tidy.loc[0.2, "mean"])
    assert tidy.loc[0.2, ["n", "asked", "trial_ids"]].tolist() == [0, 1, ""]


def test_the_headline_is_auto_where_asked_and_never_mixes_xi(results):
    rows = headline(results)
    assert headline_xi(results) == {"alexnet": "", "googlenet": "", "bsvm": "auto", "softmax": "auto"}
    assert set(rows["xi"]) == {"", "auto"}
    assert len(rows) == 4 * 5 * 2


def test_without_auto_the_headline_is_the_xi_of_most_proportions():
    rows = make(
        *[("a", p, "50", 0, "done", 1, f"{p}") for p in (0.1, 0.2)],
        *[("a", 0.1, xi, 0, "done", 1, xi) for xi in ("0", "9", "100")],
        *[("b", p, xi, 0, "done", 1, f"{p}{xi}") for p in (0.1, 0.2) for xi in ("100", "20")],
    )
    assert headline_xi(rows) == {"a": "50", "b": "20"}  # 20 < 100 as numbers, not as text


def test_the_study_is_where_several_xi_were_asked(results):
    study = xi_study(results)
    assert set(zip(study["system"], study["proportion"], strict=True)) == {("bsvm", 0.1)}
    assert set(study["xi"]) == {"auto", "0", "1", "10"}
    assert len(study) == 8


def test_counts(results):
    assert count_statuses(results) == {"done": 42, "failed": 1, "missing": 3}
    assert labelled_images(results) == {0.01: 35, 0.05: 175, 0.1: 350, 0.3: 1050, 1.0: 3500}
