"""Which systems are compared, and how comparisons are corrected."""

from __future__ import annotations

import math

import pytest

from reports.analysis.comparison import compare, marks
from reports.names import name_systems
from tests.reports.comparable import GOOD, results


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
    assert sizes == {"each": 13 * 3, "pooled": 13}  # three systems × four baselines, and BSVM with softmax
    assert table.loc[table["family"] == "pooled", "corrected"].min() == 0.0625
    pooled = table[(table["family"] == "pooled") & (table["baseline"] == "alexnet")].set_index("system")["mean"]
    assert pooled["bsvm"] == pytest.approx(6.5, abs=0.1)


def test_marks_follow_the_corrected_test_against_every_baseline():
    noisy = {system: dict(by) for system, by in GOOD.items()}
    noisy["softmax"][0.01] = 69.0  # between the baselines
    noisy["softmax"][1.0] = 90.0  # below all
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


def test_one_repetition_has_differences_but_no_interval_or_verdict():
    table = compare(results(GOOD, 1), name_systems(GOOD))
    assert table["mean"].notna().all()
    assert table["low"].isna().all()
    assert set(table["p"]) == set(table["corrected"]) == {1.0}
    assert math.isnan(table["detectable"].iloc[0])
