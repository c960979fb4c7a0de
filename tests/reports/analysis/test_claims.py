"""Made-up results in which each claim holds, fails, or is left open; and who is compared with whom."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from reports.analysis.claims import FAILS, HOLDS, OPEN, claims, picks
from reports.analysis.comparison import compare, marks
from reports.analysis.statistics import headline, summarise
from reports.names import name_systems

NOISE = (0.3, -0.2, 0.1, -0.3, 0.1, 0.2, -0.1, 0.05)
FEW, SHRINKING, MODELS, AVERAGING, XI = range(5)


def results(means: dict[str, dict[float, float]], repetitions: int, xi: dict[str, float] | None = None) -> pd.DataFrame:
    """Top-1 by system and proportion, the same noise for every system of a repetition and a little of its own."""
    rows = []
    for number, (system, by_proportion) in enumerate(means.items()):
        for proportion, mean in by_proportion.items():
            for seed in range(repetitions):
                own = 0.1 * NOISE[(3 * seed + number) % len(NOISE)]
                usual = "auto" if system in ("bsvm", "softmax") else ""
                rows.append((system, proportion, usual, seed, mean + 5 * NOISE[seed % len(NOISE)] + own))
    for value, mean in (xi or {}).items():
        rows += [("bsvm", 0.1, value, seed, mean + 5 * NOISE[seed % len(NOISE)]) for seed in range(repetitions)]
    table = pd.DataFrame(rows, columns=["system", "proportion", "xi", "seed", "top1"])
    return table.assign(status="done", trial_id=[f"t{index}" for index in range(len(table))], dataset="made-up")


def told(frame: pd.DataFrame, shift: float = 0.0) -> list:
    """The claims, where the mean code is that much below the averaged codes."""
    ours = headline(frame)
    ours = ours[ours["system"].isin(["bsvm", "softmax"]) & (ours["status"] == "done")]
    averaging = ours[["trial_id", "system", "proportion", "xi", "seed"]].assign(draws=0, top1=ours["top1"] - shift)
    return claims(frame, averaging, name_systems(frame["system"]), {"bsvm": 10})


GOOD = {
    "alexnet": {0.01: 70, 0.1: 85, 1.0: 97},
    "googlenet": {0.01: 68, 0.1: 86, 1.0: 97.5},
    "bsvm": {0.01: 78, 0.1: 90, 1.0: 97.8},
    "softmax": {0.01: 76, 0.1: 88, 1.0: 97.0},
}
BAD = GOOD | {"bsvm": {0.01: 60, 0.1: 80, 1.0: 97.2}, "softmax": {0.01: 64, 0.1: 84, 1.0: 98}}


def test_every_claim_holds_where_it_should():
    found = told(results(GOOD, 5, {"0": 84}), shift=0.5)
    assert [claim.verdict for claim in found] == [HOLDS] * 5
    few = found[FEW].parts[0].paired
    assert few.mean == pytest.approx(6.5, abs=0.1)  # (78 − 70 + 90 − 85) / 2
    assert (few.n, few.wins) == (5, 5)
    assert found[FEW].parts[0].above == 1 / 32
    shrink = found[SHRINKING].parts[1].paired
    assert shrink.mean == pytest.approx(8 - 0.8, abs=0.1)
    assert found[AVERAGING].parts[0].paired.mean == pytest.approx(0.5)
    assert found[XI].parts[0].paired.mean == pytest.approx(6, abs=0.1)


def test_every_claim_fails_where_it_should():
    found = told(results(BAD, 5, {"0": 84}), shift=-0.5)
    assert [claim.verdict for claim in found] == [FAILS] * 5


def test_four_repetitions_can_tell_nothing():
    for means, shift in ((GOOD, 0.5), (BAD, -0.5)):
        assert [claim.verdict for claim in told(results(means, 4, {"0": 84}), shift)] == [OPEN] * 5


def test_above_one_baseline_is_not_above_both():
    mixed = GOOD | {"bsvm": {0.01: 69, 0.1: 85.5, 1.0: 97.8}}  # above one, below the other
    assert told(results(mixed, 5))[FEW].verdict == OPEN
    below_one = GOOD | {"bsvm": {0.01: 71, 0.1: 85.5, 1.0: 97}, "googlenet": {0.01: 80, 0.1: 92, 1.0: 97.5}}
    assert told(results(below_one, 5))[FEW].verdict == OPEN  # one of two tests, allowed for
    assert told(results(below_one, 6))[FEW].verdict == FAILS


def test_a_lead_that_grows_or_is_none_does_not_shrink():
    growing = GOOD | {"bsvm": {0.01: 71, 0.1: 90, 1.0: 99.9}}
    assert told(results(growing, 5))[SHRINKING].verdict != HOLDS
    none = GOOD | {"bsvm": {0.01: 60, 0.1: 70, 1.0: 80}}
    assert told(results(none, 6))[SHRINKING].verdict == FAILS


def test_a_repetition_with_a_gap_gives_no_difference_and_every_trial_is_named():
    frame = results(GOOD, 6)
    frame.loc[(frame["system"] == "alexnet") & (frame["proportion"] == 0.1) & (frame["seed"] == 2), "status"] = "failed"
    part = told(frame)[FEW].parts[0]
    assert (part.paired.n, part.paired.asked) == (5, 6)
    used = frame[frame["system"].isin(["bsvm", "alexnet"]) & (frame["proportion"] <= 0.2) & (frame["seed"] != 2)]
    assert set(part.paired.trial_ids) == set(used["trial_id"])


def test_claims_without_their_systems_say_why():
    found = told(results({"m2": {0.1: 80.0}, "alexnet": {0.1: 82.0}}, 5))
    assert [claim.verdict for claim in found] == [OPEN] * 5
    assert all(claim.missing and not claim.parts for claim in found)


def test_pairing_takes_out_what_repetitions_share():
    """The noise of a repetition, ±1.5 points, is the same for both systems: the differences' spread is their own."""
    table = compare(results(GOOD, 5), name_systems(GOOD))
    row = table[(table["system"] == "bsvm") & (table["baseline"] == "alexnet") & (table["proportion"] == 0.1)].iloc[0]
    assert row["mean"] == pytest.approx(5, abs=0.05)
    assert row["std"] < 0.1
    assert row["p"] == 0.0625


def test_families_are_corrected_each_by_itself():
    frame = results(GOOD | {"pseudo": {0.01: 71, 0.1: 86, 1.0: 97}}, 5)
    table = compare(frame, name_systems(frame["system"]))
    sizes = table["family"].value_counts().to_dict()
    assert sizes == {"each": 7 * 3, "pooled": 7}  # three systems × two baselines, and BSVM with softmax
    assert table.loc[table["family"] == "pooled", "holm"].min() == pytest.approx(7 * 0.0625)
    pooled = table[(table["family"] == "pooled") & (table["baseline"] == "alexnet")].set_index("system")["mean"]
    assert pooled["bsvm"] == pytest.approx(6.5, abs=0.1)


def test_marks_follow_the_corrected_test_against_every_baseline():
    noisy = {system: dict(by) for system, by in GOOD.items()}
    noisy["softmax"][0.01] = 69.0  # between the two baselines
    noisy["softmax"][1.0] = 90.0  # below both
    for repetitions, expected in ((5, {}), (12, None)):
        frame = results(noisy, repetitions)
        names = name_systems(frame["system"])
        found = marks(compare(frame, names), names)
        if expected is not None:
            assert found == expected
        else:
            assert found["bsvm", 0.01] == "▲"
            assert found["softmax", 1.0] == "▼"
            assert ("softmax", 0.01) not in found
            assert not any(system in ("alexnet", "googlenet") for system, _ in found)


@pytest.mark.parametrize(("repetitions", "verdicts"), [(5, [OPEN] * 3), (12, ["better", "better", "worse"])])
def test_picks_are_the_best_of_either_kind_and_only_the_corrected_p_decides(repetitions, verdicts):
    means = GOOD | {"pseudo": {0.01: 80, 0.1: 84, 1.0: 96.5}, "bsvm": {0.01: 78, 0.1: 90, 1.0: 96.4}}
    frame = results(means | {"softmax": {0.01: 70, 0.1: 80, 1.0: 96.0}}, repetitions)
    names = name_systems(frame["system"])
    tidy = summarise(frame, ["top1"], ["system", "proportion"])
    found = picks(tidy, compare(frame, names), names)
    assert [(pick.system.system, pick.baseline.system) for pick in found] == [
        ("pseudo", "alexnet"),
        ("bsvm", "googlenet"),
        ("pseudo", "googlenet"),
    ]
    assert [pick.verdict for pick in found] == verdicts
    assert found[2].row["mean"] == pytest.approx(-1.0, abs=0.1)


def test_one_repetition_has_differences_but_no_interval_or_verdict():
    table = compare(results(GOOD, 1), name_systems(GOOD))
    assert table["mean"].notna().all()
    assert table["low"].isna().all()
    assert set(table["p"]) == set(table["holm"]) == {1.0}
    assert math.isnan(table["detectable"].iloc[0])
