"""Numbers over repetitions: which trials belong together, their mean and spread. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

ACCURACIES = {"top1": "top-1", "top5": "top-5"}


def summarise(results: pd.DataFrame, metrics: Sequence[str], by: Sequence[str]) -> pd.DataFrame:
    """Mean and sample standard deviation (ddof 1) of each metric over the finished trials of each group.

    Columns: metric, *by, mean, std, n, asked, trial_ids. `asked` counts the group's trials whatever became of
    them, `n` those that are done and have the metric, `trial_ids` names these. A group without any keeps
    its row, with mean and std missing; with n = 1 std is missing.
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


def headline_xi(results: pd.DataFrame) -> dict[str, str]:
    """The ξ, as asked, that stands for each system where only one can: "auto" where it was asked for,
    else the one asked for at the most proportions (the smallest of several), "" without ξ."""
    chosen = {}
    for system, rows in results.groupby("system"):
        reach = rows.groupby("xi")["proportion"].nunique()
        widest = reach.index[reach == reach.max()]
        chosen[system] = "auto" if "auto" in reach.index else min(widest, key=_as_number)
    return chosen


def headline(results: pd.DataFrame) -> pd.DataFrame:
    """The trials that Table 1 and Figure 1 are about: each system's rows at its `headline_xi`."""
    return results[results["xi"] == results["system"].map(headline_xi(results))]


def xi_study(results: pd.DataFrame) -> pd.DataFrame:
    """The trials at every (system, proportion) for which more than one ξ was asked."""
    values = results.groupby(["system", "proportion"])["xi"].transform("nunique")
    return results[values > 1]


def labelled_images(results: pd.DataFrame) -> dict[float, int]:
    """Labelled images at each proportion, where any trial says so."""
    counts = results.dropna(subset=["labelled"]).groupby("proportion")["labelled"].max()
    return {float(proportion): int(count) for proportion, count in counts.items()}


def count_statuses(results: pd.DataFrame) -> dict[str, int]:
    """Trials of the grid by status: done, failed, missing."""
    counts = results["status"].value_counts()
    return {status: int(counts.get(status, 0)) for status in ("done", "failed", "missing")}


def _as_number(xi: str) -> float:
    return float(xi or 0)
