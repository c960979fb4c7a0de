"""Made-up results in which each claim holds, fails, or stays open."""

from __future__ import annotations

import pandas as pd
import pytest

from reports.analysis.claims import FAILS, HOLDS, OPEN, claims, picks
from reports.analysis.comparison import compare
from reports.analysis.statistics import headline, summarise
from reports.names import name_systems
from tests.reports.comparable import GOOD, results

IMAGES, FEW, SHRINKING, MODELS, AVERAGING, XI = range(6)


def claims_of(frame: pd.DataFrame, shift: float = 0.0) -> list:
    """Returns the claims, with the mean code that much below the averaged codes."""
    ours = headline(frame)
    ours = ours[ours["system"].isin(["bsvm", "softmax"]) & (ours["status"] == "done")]
    averaging = ours[["trial_id", "system", "proportion", "xi", "seed"]].assign(draws=0, top1=ours["top1"] - shift)
    return claims(frame, averaging, name_systems(frame["system"]), {"bsvm": 10})


BAD = GOOD | {"bsvm": {0.01: 60, 0.1: 80, 1.0: 97.2}, "softmax": {0.01: 64, 0.1: 84, 1.0: 98}}


def test_every_claim_holds_where_it_should():
    found = claims_of(results(GOOD, 5, {"0": 84}), shift=0.5)
    assert [claim.verdict for claim in found] == [HOLDS] * 6
    assert [part.label for part in found[IMAGES].parts] == [
        "BSVM (ours) − Encoder alone, mean over 1% and 10%",
        "BSVM (ours) − Encoder alone, BSVM's settings, mean over 1% and 10%",
    ]
    means = [part.paired.mean for part in found[IMAGES].parts]
    assert means == pytest.approx([3.5, 4.0], abs=0.1)  # (78 − 74 + 90 − 87) / 2, (78 − 73 + 90 − 87) / 2
    few = found[FEW].parts[0].paired
    assert few.mean == pytest.approx(6.5, abs=0.1)  # (78 − 70 + 90 − 85) / 2
    assert (few.n, few.wins) == (5, 5)
    assert found[FEW].parts[0].above == 1 / 32
    shrink = found[SHRINKING].parts[1].paired
    assert shrink.mean == pytest.approx(8 - 0.8, abs=0.1)
    assert found[AVERAGING].parts[0].paired.mean == pytest.approx(0.5)
    assert found[XI].parts[0].paired.mean == pytest.approx(6, abs=0.1)


def test_every_claim_fails_where_it_should():
    found = claims_of(results(BAD, 5, {"0": 84}), shift=-0.5)
    assert [claim.verdict for claim in found] == [FAILS] * 6


def test_four_repetitions_can_tell_nothing():
    for means, shift in ((GOOD, 0.5), (BAD, -0.5)):
        assert [claim.verdict for claim in claims_of(results(means, 4, {"0": 84}), shift)] == [OPEN] * 6


def test_above_one_baseline_is_not_above_both():
    mixed = GOOD | {"bsvm": {0.01: 69, 0.1: 85.5, 1.0: 97.8}}  # above one, below the other
    assert claims_of(results(mixed, 5))[FEW].verdict == OPEN
    below_one = GOOD | {"bsvm": {0.01: 71, 0.1: 85.5, 1.0: 97}, "googlenet": {0.01: 80, 0.1: 92, 1.0: 97.5}}
    assert claims_of(results(below_one, 5))[FEW].verdict == OPEN  # one of two tests, allowed for
    assert claims_of(results(below_one, 6))[FEW].verdict == FAILS


def test_a_lead_that_grows_or_is_none_does_not_shrink():
    growing = GOOD | {"bsvm": {0.01: 71, 0.1: 90, 1.0: 99.9}}
    assert claims_of(results(growing, 5))[SHRINKING].verdict != HOLDS
    none = GOOD | {"bsvm": {0.01: 60, 0.1: 70, 1.0: 80}}
    assert claims_of(results(none, 6))[SHRINKING].verdict == FAILS


def test_a_repetition_with_a_gap_gives_no_difference_and_every_trial_is_named():
    frame = results(GOOD, 6)
    frame.loc[(frame["system"] == "alexnet") & (frame["proportion"] == 0.1) & (frame["seed"] == 2), "status"] = "failed"
    part = claims_of(frame)[FEW].parts[0]
    assert (part.paired.n, part.paired.asked) == (5, 6)
    used = frame[frame["system"].isin(["bsvm", "alexnet"]) & (frame["proportion"] <= 0.2) & (frame["seed"] != 2)]
    assert set(part.paired.trial_ids) == set(used["trial_id"])


def test_claims_without_their_systems_say_why():
    found = claims_of(results({"m2": {0.1: 80.0}, "alexnet": {0.1: 82.0}}, 5))
    assert [claim.verdict for claim in found] == [OPEN] * 6
    assert all(claim.missing and not claim.parts for claim in found)


@pytest.mark.parametrize(("repetitions", "verdicts"), [(5, [OPEN] * 3), (12, ["better", "better", "worse"])])
def test_picks_are_the_best_of_either_kind_and_only_the_corrected_p_decides(repetitions, verdicts):
    means = {name: GOOD[name] for name in ("alexnet", "googlenet", "bsvm")}
    means |= {"pseudo": {0.01: 80, 0.1: 84, 1.0: 96.5}, "bsvm": {0.01: 78, 0.1: 90, 1.0: 96.4}}
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
