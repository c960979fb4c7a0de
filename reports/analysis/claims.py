"""The paper's claims as tests on paired differences. Every verdict is computed from the results."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from reports.analysis.comparison import FEW, Paired, pair, shared_proportions
from reports.analysis.paired import LEVEL, sign_flip, simes
from reports.analysis.statistics import headline
from reports.names import Name, percent

HOLDS, FAILS, OPEN = "holds", "does not hold", "cannot be told"
ALONE = ("encoder", "ablation")  # BSVM without the bound: with settings of its own, and with BSVM's


@dataclass(frozen=True)
class Part:
    """One difference that a claim says is above 0, under a label."""

    label: str
    paired: Paired

    @property
    def above(self) -> float:
        """The one-sided p of the test of "not above 0"; 1 without a repetition."""
        return sign_flip(self.paired.differences, "greater") if self.paired.n else 1.0

    @property
    def below(self) -> float:
        """The one-sided p of the test of "not below 0"; 1 without a repetition."""
        return sign_flip(self.paired.differences, "less") if self.paired.n else 1.0


@dataclass(frozen=True)
class Claim:
    """A statement of the paper, as differences that must all be above 0.

    Attributes:
        title: the claim in a few words.
        text: the claim in a sentence.
        parts: the differences; none where the results cannot test the claim.
        missing: why there are none.
    """

    title: str
    text: str
    parts: Sequence[Part]
    missing: str = ""

    @property
    def verdict(self) -> str:
        """`HOLDS`, `FAILS` or `OPEN`.

        A claim holds where every part is above 0 at the 5 % level, one-sided: an intersection-union test, which needs
        no correction. It does not hold where Simes' test over the parts says, at the same level, that one is below 0.
        """
        if not self.parts:
            return OPEN
        if max(part.above for part in self.parts) <= LEVEL:
            return HOLDS
        return FAILS if simes([part.below for part in self.parts]) <= LEVEL else OPEN

    @property
    def n(self) -> int:
        """Repetitions that every part has."""
        return min((part.paired.n for part in self.parts), default=0)

    @property
    def trial_ids(self) -> list[str]:
        """The identities of all trials that the verdict rests on."""
        return list(dict.fromkeys(trial for part in self.parts for trial in part.paired.trial_ids))


def claims(
    results: pd.DataFrame, averaging: pd.DataFrame, names: Mapping[str, Name], draws: Mapping[str, int]
) -> list[Claim]:
    """Returns the claim of the title, that images help, and the paper's other claims in its order.

    Args:
        results: as `inputs.results.read_results` returns them.
        averaging: accuracy by the number of codes averaged over, as `inputs.averaging.read_averaging` returns it.
        names: of the systems in the results.
        draws: N_s, the number of codes averaged over in the results, by system.
    """
    rows = headline(results)
    baselines = [
        system for system, name in names.items() if (name.learns_from, name.origin) == ("labelled images", "paper")
    ]
    return [
        _images_help(rows, names),
        _few_labels(rows, names, baselines),
        _shrinking(rows, names, baselines),
        _label_models(rows, names),
        _averaging(rows, averaging, names, draws),
        _xi(results, names),
    ]


def _images_help(rows: pd.DataFrame, names: Mapping[str, Name]) -> Claim:
    parts = []
    for alone in ALONE:
        few = [proportion for proportion in shared_proportions(rows, "bsvm", alone) if proportion <= FEW]
        if few:
            label = f"{_label(names, 'bsvm')} − {_label(names, alone)}, {proportions_text(few)}"
            parts.append(Part(label, pair(_of(rows, "bsvm"), _of(rows, alone), few)))
    return Claim(
        "Images without labels help: BSVM is above its own encoder on the labels alone",
        "Both sides have the same encoder, label model, augmentation and labelled images. The other one lacks the "
        "bound of the images, and so learns nothing from images without labels. No other comparison separates what "
        "the images teach from what a network and its training are good for. It is made with settings that were found "
        "for each side, and with the same settings on both.",
        parts,
        f"BSVM and its encoder alone were not both run with {percent(FEW)} of the labels or fewer",
    )


def _few_labels(rows: pd.DataFrame, names: Mapping[str, Name], baselines: Sequence[str]) -> Claim:
    parts = {}
    for baseline in baselines:
        few = [proportion for proportion in shared_proportions(rows, "bsvm", baseline) if proportion <= FEW]
        if few:
            label = f"{_label(names, 'bsvm')} − {names[baseline].label}, {proportions_text(few)}"
            parts[names[baseline].label] = Part(label, pair(_of(rows, "bsvm"), _of(rows, baseline), few))
    return Claim(
        f"With at most {percent(FEW)} of the labels, BSVM is above {' and '.join(parts) or 'AlexNet and GoogLeNet'}",
        "Its mean top-1 over these proportions is above that of each network of the paper that learns from the "
        "labelled images alone. The networks differ too, so this says less about images than the first claim.",
        list(parts.values()),
        f"BSVM and a baseline were not both run with {percent(FEW)} of the labels or fewer",
    )


def _shrinking(rows: pd.DataFrame, names: Mapping[str, Name], baselines: Sequence[str]) -> Claim:
    parts = []
    for baseline in baselines:
        shared = shared_proportions(rows, "bsvm", baseline)
        if len(shared) > 1:
            ends = {end: pair(_of(rows, "bsvm"), _of(rows, baseline), [end]) for end in (shared[0], shared[-1])}
            versus = f"{_label(names, 'bsvm')} − {names[baseline].label}"
            low, high = percent(shared[0]), percent(shared[-1])
            parts.append(Part(f"{versus} with {low}", ends[shared[0]]))
            both = _change(rows, baseline, shared[0], shared[-1])
            parts.append(Part(f"({versus} with {low}) − (the same with {high})", both))
    return Claim(
        "The gap shrinks with more labels",
        "BSVM leads each baseline with the fewest labels, and leads it by less with the most.",
        parts,
        "BSVM and a baseline were not both run at two proportions",
    )


def _change(rows: pd.DataFrame, baseline: str, first: float, last: float) -> Paired:
    """Returns, by repetition, BSVM's lead at one proportion minus its lead at another."""

    def change(system: str) -> pd.DataFrame:
        mine = _of(rows, system)
        low, high = (mine[mine["proportion"] == proportion].set_index("seed") for proportion in (first, last))
        both = low.merge(high, left_index=True, right_index=True, suffixes=("", "_last"))
        done = (both["status"] == "done") & (both["status_last"] == "done")
        return pd.DataFrame(
            {
                "proportion": first,
                "seed": both.index,
                "status": done.map({True: "done", False: "missing"}).to_numpy(),
                "top1": (both["top1"] - both["top1_last"]).to_numpy(),
                "trial_id": (both["trial_id"] + " " + both["trial_id_last"]).to_numpy(),
            }
        )

    paired = pair(change("bsvm"), change(baseline), [first])
    ids = dict.fromkeys(trial for both in paired.trial_ids for trial in both.split())
    return replace(paired, trial_ids=tuple(ids))


def _label_models(rows: pd.DataFrame, names: Mapping[str, Name]) -> Claim:
    shared = shared_proportions(rows, "bsvm", "softmax")
    parts = []
    if shared:
        label = f"{_label(names, 'bsvm')} − {_label(names, 'softmax')}, {proportions_text(shared)}"
        parts = [Part(label, pair(_of(rows, "bsvm"), _of(rows, "softmax"), shared))]
    return Claim(
        "BSVM is above softmax",
        "On the same image model, the support vector machine classifies better than the softmax.",
        parts,
        "BSVM and softmax were not both run",
    )


def _averaging(
    rows: pd.DataFrame, averaging: pd.DataFrame, names: Mapping[str, Name], draws: Mapping[str, int]
) -> Claim:
    parts = []
    mean_code = averaging[averaging["draws"] == 0].assign(status="done")
    for system in ("bsvm", "softmax"):
        ours = _of(rows, system)
        theirs = mean_code[mean_code["trial_id"].isin(ours["trial_id"])]
        if theirs.empty or draws.get(system) == 0:
            continue
        mine = f"N_s = {draws[system]}" if system in draws else "N_s as set"
        proportions = sorted(ours["proportion"].unique())
        label = f"{_label(names, system)}, {mine} − mean code (N_s = 0), {proportions_text(proportions)}"
        parts.append(Part(label, pair(ours, theirs, proportions)))
    return Claim(
        "Averaging over codes helps",
        "Predictions averaged over N_s draws of the code are right more often than those of the mean code.",
        parts,
        "no trial has predictions of the mean code beside averaged ones",
    )


def _xi(results: pd.DataFrame, names: Mapping[str, Name]) -> Claim:
    parts = []
    for system in ("bsvm", "softmax"):
        mine = _of(results, system)
        auto, zero = (mine[mine["xi"] == xi] for xi in ("auto", "0"))
        shared = sorted(set(auto["proportion"]) & set(zero["proportion"]))
        if shared:
            label = f"{_label(names, system)}, ξ = auto − ξ = 0, {proportions_text(shared)}"
            parts.append(Part(label, pair(auto, zero, shared)))
    return Claim(
        "Labels should shape the code: ξ = auto is above ξ = 0",
        "Learning from images and labels together classifies better than fitting the label model to a code that was "
        "learned from the images alone.",
        parts,
        "no system was run with both",
    )


def _of(rows: pd.DataFrame, system: str) -> pd.DataFrame:
    return rows[rows["system"] == system]


def _label(names: Mapping[str, Name], system: str) -> str:
    return names[system].label


def proportions_text(proportions: Sequence[float]) -> str:
    """Names the proportions that a difference is the mean over: "with 1%", or "mean over 1% and 5%"."""
    texts = [percent(proportion) for proportion in proportions]
    return f"with {texts[0]}" if len(texts) == 1 else f"mean over {', '.join(texts[:-1])} and {texts[-1]}"


@dataclass(frozen=True)
class Pick:
    """The best systems at one proportion.

    Attributes:
        system: the best one that learns from all images; None where none has a result.
        baseline: the best one that learns from labels alone, likewise.
        means: mean top-1 by system.
        row: the row of `comparison.compare` about the two; None where either is missing.
    """

    proportion: float
    system: Name | None
    baseline: Name | None
    means: Mapping[str, float]
    row: Mapping[str, Any] | None

    @property
    def verdict(self) -> str:
        """ "better" or "worse" by the corrected p, `OPEN` where it is too large, and "" without a pair."""
        if self.row is None or not self.row["n"]:
            return ""
        if self.row["corrected"] > LEVEL:
            return OPEN
        return "better" if self.row["mean"] > 0 else "worse"


def picks(tidy: pd.DataFrame, compared: pd.DataFrame, names: Mapping[str, Name]) -> list[Pick]:
    """Picks the best systems at each proportion.

    A pair that is chosen by its numbers looks better than it is. Its p counts only after a correction over all
    comparisons that it was chosen from.

    Args:
        tidy: top-1 means, from `statistics.summarise`.
        compared: all comparisons, from `comparison.compare`.
    """
    return [_pick(tidy, compared, names, proportion) for proportion in sorted(tidy["proportion"].unique())]


def _pick(tidy: pd.DataFrame, compared: pd.DataFrame, names: Mapping[str, Name], proportion: float) -> Pick:
    rows = tidy[(tidy["metric"] == "top1") & (tidy["proportion"] == proportion) & (tidy["n"] > 0)]
    means = {row.system: row.mean for row in rows.itertuples()}

    def best(learns_from: str) -> Name | None:
        group = [system for system in means if names[system].learns_from == learns_from]
        return names[max(group, key=lambda system: means[system])] if group else None

    system, baseline = best("all images"), best("labelled images")
    row = None
    if system and baseline:
        same = (compared["system"] == system.system) & (compared["baseline"] == baseline.system)
        (row,) = compared[same & (compared["proportion"] == proportion)].to_dict("records")
    return Pick(proportion, system, baseline, means, row)


def p_text(p: float) -> str:
    """Formats a p with four decimals, or as "—" where it is missing."""
    return "—" if math.isnan(p) else f"{p:.4f}"
