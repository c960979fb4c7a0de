"""Which trials belong together, and their means, standard deviations and intervals over repetitions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import pandas as pd
from scipy.stats import norm, t

INTERVAL = "95 % bootstrap intervals of the mean over repetitions (expanded percentile)"
ENUMERATED = 6  # up to this number of repetitions all resamples are enumerated: 6⁶ = 46,656
RESAMPLES = 50_000  # resamples drawn beyond that


def summarise(results: pd.DataFrame, metrics: Sequence[str], by: Sequence[str]) -> pd.DataFrame:
    """Returns the mean and sample standard deviation (ddof 1) of each metric over the finished trials of each group.

    Columns: metric, *by, mean, std, n, asked, trial_ids. `asked` counts all trials of the group; `n` counts those that
    are done and have the metric, and `trial_ids` names them. A group without any keeps its row, with mean and std
    missing. With n = 1 std is missing.
    """
    by = list(by)
    asked = results.groupby(by).size().rename("asked")
    done = results[results["status"] == "done"]
    blocks = []
    for metric in metrics:
        groups = done.dropna(subset=[metric]).groupby(by)
        block = groups.agg(
            mean=(metric, "mean"), std=(metric, "std"), n=(metric, "count"), trial_ids=("trial_id", " ".join)
        )
        block = (
            block.reindex(asked.index)
            .fillna({"n": 0, "trial_ids": ""})
            .astype({"mean": "float64", "std": "float64", "n": "int64"})
        )
        blocks.append(block.join(asked).reset_index().assign(metric=metric))
    return pd.concat(blocks, ignore_index=True)[["metric", *by, "mean", "std", "n", "asked", "trial_ids"]]


def estimate(results: pd.DataFrame, metrics: Sequence[str], by: Sequence[str]) -> pd.DataFrame:
    """Returns the table of `summarise` with columns `low` and `high`, the ends of each mean's `mean_interval`."""
    by = list(by)
    tidy = summarise(results, metrics, by)
    done = results[results["status"] == "done"]
    ends = {
        (metric, key): mean_interval(tuple(values))
        for metric in metrics
        for key, values in done.dropna(subset=[metric]).groupby(by)[metric]
    }
    keys = list(zip(tidy["metric"], zip(*(tidy[column] for column in by), strict=True), strict=True))
    low, high = zip(*(ends.get(key, (math.nan, math.nan)) for key in keys), strict=True)
    return tidy.assign(low=low, high=high)


@lru_cache(maxsize=4096)
def mean_interval(values: tuple[float, ...]) -> tuple[float, float]:
    """Returns the 95 % bootstrap interval of the mean of independent repetitions; missing with fewer than two.

    It is the expanded percentile interval: the quantiles of the bootstrap means at Φ(∓t₀.₉₇₅ √(n/(n−1))), with n − 1
    degrees of freedom. This corrects that percentile intervals are too short for few values (Hesterberg 2015,
    https://doi.org/10.1080/00031305.2015.1089789). BCa and bootstrap-t need an acceleration, or a standard error from
    every resample, and at n = 5 these are mostly noise. No resample reaches beyond the observed values, so the interval
    of n values covers at most 1 − 2^(1−n) (`coverage_limit`).
    """
    n = len(values)
    if n < 2:
        return math.nan, math.nan
    tail = norm.cdf(t.ppf(0.025, n - 1) * math.sqrt(n / (n - 1)))
    means = np.sort(_resamples(n) @ np.asarray(values)) / n
    index = math.floor(tail * len(means))
    return float(means[index]), float(means[-1 - index])


def coverage_limit(n: int) -> float:
    """Returns the probability that the range of n values contains the median of their distribution.

    No bootstrap interval covers it more often.
    """
    return 1 - 2.0 ** (1 - n)


@lru_cache(maxsize=64)
def _resamples(n: int) -> np.ndarray:
    """Returns how often each value is in each resample, [resamples, n]: all of few values, else some, from a seed."""
    if n <= ENUMERATED:
        drawn = np.stack(np.unravel_index(np.arange(n**n), (n,) * n), axis=1)
    else:
        drawn = np.random.default_rng(n).integers(n, size=(RESAMPLES, n))
    places = drawn + n * np.arange(len(drawn))[:, None]
    return np.bincount(places.ravel(), minlength=drawn.size).reshape(drawn.shape).astype(float)


def headline_xi(results: pd.DataFrame) -> dict[str, str]:
    """Returns, by system, the ξ (weight of the label term) at which the main tables and figures show it.

    It is "auto" where that was asked for; else the ξ asked for at the most proportions, the smallest of several; "" for
    a system without ξ.
    """
    chosen = {}
    for system, rows in results.groupby("system"):
        reach = rows.groupby("xi")["proportion"].nunique()
        widest = reach.index[reach == reach.max()]
        chosen[system] = "auto" if "auto" in reach.index else min(widest, key=_as_number)
    return chosen


def headline(results: pd.DataFrame) -> pd.DataFrame:
    """Returns the trials of the main tables and figures: each system's rows at its `headline_xi`."""
    return results[results["xi"] == results["system"].map(headline_xi(results))]


def xi_study(results: pd.DataFrame) -> pd.DataFrame:
    """Returns the trials at every (system, proportion) for which more than one ξ was asked."""
    values = results.groupby(["system", "proportion"])["xi"].transform("nunique")
    return results[values > 1]


def labelled_images(results: pd.DataFrame) -> dict[float, int]:
    """Returns the number of labelled images at each proportion that has a trial with that number."""
    counts = results.dropna(subset=["labelled"]).groupby("proportion")["labelled"].max()
    return {float(proportion): int(count) for proportion, count in counts.items()}


def count_statuses(results: pd.DataFrame) -> dict[str, int]:
    """Counts the trials of the grid by status: done, failed, missing."""
    counts = results["status"].value_counts()
    return {status: int(counts.get(status, 0)) for status in ("done", "failed", "missing")}


def _as_number(xi: str) -> float:
    return float(xi or 0)
