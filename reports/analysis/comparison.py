"""Which systems are compared with which, by repetition: systems that learn from all images against the baselines."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, stdev

import pandas as pd

from reports.analysis.paired import LEVEL, detectable, holm, sign_flip
from reports.analysis.statistics import mean_interval
from reports.names import Name

FEW = 0.2  # labelled proportions up to this one are pooled: where the paper's claim is made
REPETITIONS = (5, 10, 20)  # for which the detectable difference is given beside the number run
POOLED, EACH = "pooled", "each"


@dataclass(frozen=True)
class Paired:
    """Differences in top-1 (points) or another metric, one a repetition; `asked` counts the repetitions asked of both
    sides, and `trial_ids` names every trial behind the differences."""

    differences: tuple[float, ...]
    asked: int
    trial_ids: tuple[str, ...]

    @property
    def n(self) -> int:
        return len(self.differences)

    @property
    def mean(self) -> float:
        return fmean(self.differences) if self.differences else math.nan

    @property
    def std(self) -> float:
        return stdev(self.differences) if self.n > 1 else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        return mean_interval(self.differences)

    @property
    def wins(self) -> int:
        return sum(difference > 0 for difference in self.differences)


def pair(ours: pd.DataFrame, theirs: pd.DataFrame, proportions: Iterable[float], metric: str = "top1") -> Paired:
    """ours − theirs at these proportions, each side with columns proportion, seed, status, trial_id and the metric's.

    A repetition gives one difference, its mean over the proportions: within a repetition the labelled sets are
    nested, so that only the repetitions are independent. One with a trial missing on either side gives none.
    """
    proportions = set(proportions)
    both = ours.merge(theirs, on=["proportion", "seed"], suffixes=("", "_of_baseline"))
    both = both[both["proportion"].isin(proportions)]
    done = both[(both["status"] == "done") & (both["status_of_baseline"] == "done")]
    whole = done[done.groupby("seed")["proportion"].transform("nunique") == len(proportions)]
    differences = (whole[metric] - whole[f"{metric}_of_baseline"]).groupby(whole["seed"]).mean()
    ids = dict.fromkeys([*whole["trial_id"], *whole["trial_id_of_baseline"]])
    return Paired(tuple(map(float, differences)), both["seed"].nunique(), tuple(ids))


def pairs(names: Mapping[str, Name]) -> list[tuple[str, str]]:
    """(system, baseline): each that learns from all images with each that learns from labels alone, and the
    paper's two label models with each other."""
    ours = [system for system, name in names.items() if name.learns_from == "all images"]
    baselines = [system for system, name in names.items() if name.learns_from == "labelled images"]
    found = [(system, baseline) for system in ours for baseline in baselines]
    return found + ([("bsvm", "softmax")] if {"bsvm", "softmax"} <= names.keys() else [])


def against_all(names: Mapping[str, Name]) -> list[tuple[str, str]]:
    """(ours, other): each of the paper's systems that learn from all images with every system that is none of them."""
    mine = ours(names)
    return [(system, other) for system in mine for other in names if other not in mine]


def ours(names: Mapping[str, Name]) -> list[str]:
    """The paper's systems that learn from all images."""
    return [system for system, name in names.items() if (name.learns_from, name.origin) == ("all images", "paper")]


def shared_proportions(rows: pd.DataFrame, *systems: str) -> list[float]:
    """Proportions that were asked of every one of these systems, ascending."""
    asked = [set(rows.loc[rows["system"] == system, "proportion"]) for system in systems]
    return sorted(set.intersection(*asked)) if asked else []


def compare(
    headline: pd.DataFrame,
    names: Mapping[str, Name],
    metric: str = "top1",
    who: Callable[[Mapping[str, Name]], list[tuple[str, str]]] = pairs,
) -> pd.DataFrame:
    """One row per pair of `who` and proportion (`family` "each"), and per pair over all proportions ≤ 20 % ("pooled",
    proportion missing; where there are at least two).

    Columns: family, system, baseline, proportion, n, asked, mean, low, high, std, wins, p (two-sided sign flips),
    holm (p after Holm's correction within its family), detectable (as run), detectable_N, trial_ids.
    """
    rows = []
    for system, baseline in who(names):
        sides = [headline[headline["system"] == side] for side in (system, baseline)]
        shared = shared_proportions(headline, system, baseline)
        few = [proportion for proportion in shared if proportion <= FEW]
        scopes = [(POOLED, math.nan, few)] if len(few) > 1 else []
        scopes += [(EACH, proportion, [proportion]) for proportion in shared]
        for family, proportion, over in scopes:
            key = {"family": family, "system": system, "baseline": baseline, "proportion": proportion}
            rows.append(key | _numbers(pair(*sides, over, metric)))
    table = pd.DataFrame(rows, columns=_COLUMNS)
    for _, family in table.groupby("family"):
        table.loc[family.index, "holm"] = holm(list(family["p"]))
    return table


_COLUMNS = [
    *["family", "system", "baseline", "proportion", "n", "asked", "mean", "low", "high", "std", "wins", "p", "holm"],
    *["detectable", *(f"detectable_{n}" for n in REPETITIONS), "trial_ids"],
]


def _numbers(paired: Paired) -> dict[str, object]:
    low, high = paired.interval
    return {
        "n": paired.n,
        "asked": paired.asked,
        "mean": paired.mean,
        "low": low,
        "high": high,
        "std": paired.std,
        "wins": paired.wins,
        "p": sign_flip(paired.differences),
        "holm": math.nan,
        "detectable": detectable(paired.std, paired.n),
        **{f"detectable_{n}": detectable(paired.std, n) for n in REPETITIONS},
        "trial_ids": " ".join(paired.trial_ids),
    }


def marks(table: pd.DataFrame, names: Mapping[str, Name]) -> dict[tuple[str, float], str]:
    """ "▲" for a system and proportion that is above every baseline that learns from labels alone after Holm's
    correction, "▼" below every one; no entry otherwise."""
    found = {}
    against = table["baseline"].map(lambda baseline: names[baseline].learns_from == "labelled images").astype(bool)
    for key, rows in table[against & (table["family"] == EACH)].groupby(["system", "proportion"]):
        if (rows["holm"] <= LEVEL).all() and rows["mean"].gt(0).nunique() == 1:
            found[key] = "▲" if rows["mean"].iloc[0] > 0 else "▼"
    return found
