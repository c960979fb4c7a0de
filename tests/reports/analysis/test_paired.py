"""Paired statistics against scipy, worked examples, and the planning table everybody knows."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from scipy.stats import bootstrap, false_discovery_control, permutation_test, ttest_1samp

from reports.analysis.paired import detectable, max_t, repetitions_needed, sign_flip, simes, smallest_p, step_down
from reports.analysis.statistics import coverage_limit, mean_interval

SAMPLES = [
    [0.4, 1.1, -0.2, 0.9, 0.6],
    [-0.4, -1.1, -0.2],
    [0.3, 0.3, -0.3, 0.0],
    [2.0, -1.5, 0.25, 3.0, 1.0, -0.75, 0.5, 1.25],
]


@pytest.mark.parametrize("differences", SAMPLES)
@pytest.mark.parametrize("alternative", ["two-sided", "greater", "less"])
def test_sign_flips_are_scipy_s(differences, alternative):
    expected = permutation_test(
        (np.array(differences),), np.mean, permutation_type="samples", alternative=alternative, n_resamples=np.inf
    )
    assert sign_flip(differences, alternative) == pytest.approx(expected.pvalue, rel=1e-12)


def test_sums_in_another_order_are_ties():
    """0.1 + 0.2 − 0.3 is not 0 in floating point; here every assignment of signs is as extreme."""
    assert sign_flip([0.1, 0.2, -0.3]) == 1.0


def test_many_repetitions_are_drawn_and_agree_with_the_t_test():
    differences = np.random.default_rng(1).normal(0.5, 1, 30)
    p = sign_flip(differences)
    assert p == sign_flip(differences)
    assert p == pytest.approx(ttest_1samp(differences, 0).pvalue, abs=0.01)


def test_the_floor_and_how_many_repetitions_lift_it():
    assert smallest_p(5) == sign_flip([1, 2, 3, 4, 5]) == 0.0625
    assert smallest_p(1) == sign_flip([3.0]) == 1.0
    assert math.isnan(sign_flip([]))
    n = repetitions_needed()
    assert smallest_p(n) <= 0.05 < smallest_p(n - 1)
    rows = [{seed: 1.0 + 0.1 * seed * row for seed in range(n)} for row in range(1, 56)]
    assert set(max_t(rows)) == {smallest_p(n)}


def table_of(seed, comparisons, n, effect=0.0):
    """Differences of comparisons that share a system: those of a repetition go up and down together."""
    rng = np.random.default_rng(seed)
    return effect + rng.normal(size=n) + rng.normal(size=(comparisons, n)) * rng.uniform(0.2, 3, (comparisons, 1))


def by_repetition(table):
    return [dict(enumerate(row)) for row in table]


def written_out(table):
    """Step-down max-T again, with Student's t, all assignments of signs, and a loop for each step."""
    flips = list(itertools.product([1, -1], repeat=table.shape[1]))
    absolute_t = np.array([np.abs(ttest_1samp(table * signs, 0, axis=1).statistic) for signs in map(np.array, flips)])
    observed = absolute_t[0]
    found = {}
    left = list(range(len(table)))
    while left:
        first = max(left, key=lambda row: observed[row])
        p = (absolute_t[:, left].max(1) >= observed[first] * (1 - 1e-9)).mean()
        found[first] = max([p, *found.values()])
        left.remove(first)
    return [found[row] for row in range(len(table))]


@pytest.mark.parametrize(("seed", "comparisons", "n", "effect"), [(0, 4, 6, 0.0), (1, 7, 5, 1.5), (2, 3, 8, 0.7)])
def test_max_t_is_the_procedure_written_out(seed, comparisons, n, effect):
    table = table_of(seed, comparisons, n, effect)
    assert max_t(by_repetition(table)) == pytest.approx(written_out(table))


@pytest.mark.parametrize("differences", SAMPLES)
def test_max_t_of_one_comparison_is_its_sign_flip_test(differences):
    """And so it is for comparisons that are all the same, which Holm would take for several."""
    assert max_t([dict(enumerate(differences))] * 5) == pytest.approx([sign_flip(differences)] * 5)


def test_max_t_leaves_what_is_missing_out_of_the_family():
    whole, other = {0: 2.0, 1: 1.0, 2: 3.0}, {0: -1.0, 2: 0.5}
    assert max_t([{}, whole, {}, other])[1::2] == max_t([whole, other])
    assert all(map(math.isnan, max_t([{}, whole, {}])[::2]))
    assert max_t([{0: 0.0, 1: 0.0}]) == [1.0]
    assert max_t([]) == []


def test_step_down_is_a_published_example_s():
    """Westfall and Wolfinger 1997, Table 4: five answers to a treatment, each compared in how many patients gave it.

    The last column of their Table 5 has the step-down p's; R's package coin prints them as below, from 100,000
    permutations.
    """
    published = [0.00689, 0.24334, 0.56908, 1.0, 0.21351]
    placebo, drug = np.array([12, 3, 17, 9, 16]), np.array([1, 8, 12, 9, 24])
    answers, patients = placebo + drug, (placebo + drug).sum()
    permuted = np.random.default_rng(0).multivariate_hypergeometric(answers, placebo.sum(), size=200_000)
    counts = np.vstack([placebo, permuted])
    expected = answers * placebo.sum() / patients
    statistics = np.abs(counts - expected) / np.sqrt(answers * (patients - answers))  # equal up to a common factor
    chance = [math.sqrt(p * (1 - p) * (1 / 100_000 + 1 / 200_000)) for p in published]
    for found, p, error in zip(step_down(statistics), published, chance, strict=True):
        assert found == pytest.approx(p, abs=4 * error + 1e-5)


def test_max_t_bounds_the_probability_of_any_false_finding():
    """Of ten comparisons without a difference one is found at the 5 % level in 5 of 100 families; alone, in more."""
    families = [table_of(seed, 10, 8) for seed in range(600)]
    found = np.mean([min(max_t(by_repetition(table))) <= 0.05 for table in families])
    assert found < 0.05 + 3 * math.sqrt(0.05 * 0.95 / 600)
    assert np.mean([min(map(sign_flip, table)) <= 0.05 for table in families]) > 0.1


@pytest.mark.parametrize("p", [[0.03], [0.03, 0.03], [0.01, 0.6], [0.2, 0.04, 0.045]])
def test_simes_is_the_smallest_p_of_benjamini_and_hochberg(p):
    """Simes' p is where their step-up procedure begins to reject."""
    assert simes(p) == pytest.approx(false_discovery_control(p).min())


def test_detectable_is_the_textbook_s_sample_size():
    """A paired t test finds half a standard deviation with 80 % power at the 5 % level from 34 pairs on (Cohen)."""
    assert detectable(1.0, 34) <= 0.5 < detectable(1.0, 33)
    assert detectable(3.0, 10) == pytest.approx(3 * detectable(1.0, 10))
    assert math.isnan(detectable(1.0, 1))
    assert math.isnan(detectable(math.nan, 5))


@pytest.mark.parametrize("n", [5, 10])
def test_detectable_by_simulation(n):
    draws = np.random.default_rng(n).normal(detectable(1.0, n), 1, (20_000, n))
    assert (ttest_1samp(draws, 0, axis=1).pvalue <= 0.05).mean() == pytest.approx(0.8, abs=0.012)


@pytest.mark.parametrize("n", [3, 5, 8])
def test_the_interval_is_a_percentile_bootstrap_with_wider_tails(n):
    """At the level that undoes the bias of few values; scipy draws its resamples, so ends agree roughly."""
    from scipy.stats import norm, t

    values = np.random.default_rng(n).normal(90, 2, n)
    tail = norm.cdf(t.ppf(0.025, n - 1) * math.sqrt(n / (n - 1)))
    expected = bootstrap(
        (values,), np.mean, confidence_level=1 - 2 * tail, method="percentile", n_resamples=100_000, rng=1
    ).confidence_interval
    assert mean_interval(tuple(values)) == pytest.approx(expected, abs=0.12)


def test_five_values_cover_about_what_they_can():
    draws = np.random.default_rng(7).normal(size=(2000, 5))
    covered = np.mean([low <= 0 <= high for low, high in map(mean_interval, map(tuple, draws))])
    assert covered == pytest.approx(0.93, abs=0.02)
    assert covered <= coverage_limit(5) == 0.9375


def test_one_value_has_no_interval():
    assert all(map(math.isnan, mean_interval((90.0,))))
    assert mean_interval((90.0, 90.0)) == (90.0, 90.0)
