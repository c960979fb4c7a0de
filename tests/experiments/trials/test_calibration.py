"""Calibration of predictions that are known, and temperatures that are."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from experiments.trials.calibration import (
    COLDEST,
    HOTTEST,
    expected_calibration_error,
    fitted_temperature,
    scaled,
)


def test_calibration_error_of_a_worked_example():
    """Two confident and right, two as confident and half right, two unsure: (0.1 · 2 + |1 − 2 · 0.8| + …)/6 by hand."""
    probabilities = torch.tensor([[0.95, 0.05], [0.05, 0.95], [0.8, 0.2], [0.2, 0.8], [0.55, 0.45], [0.55, 0.45]])
    labels = torch.tensor([0, 1, 0, 0, 0, 1])
    expected = (abs(2 - 1.9) + abs(1 - 1.6) + abs(1 - 1.1)) / 6
    assert expected_calibration_error(probabilities, labels) == pytest.approx(expected, abs=1e-6)


@given(st.integers(0, 1000), st.integers(1, 20))
def test_calibration_error_is_the_binned_gap(seed, bins):
    """A second implementation: numpy's histograms."""
    rng = np.random.default_rng(seed)
    probabilities, labels = rng.dirichlet(np.ones(4), 60), rng.integers(0, 4, 60)
    confidence, right = probabilities.max(1), probabilities.argmax(1) == labels
    edges = np.linspace(0, 1, bins + 1)
    counts = np.histogram(confidence, edges)[0]
    sums = [np.histogram(confidence, edges, weights=each)[0] for each in (right.astype(float), confidence)]
    accuracy, mean = (each / np.maximum(counts, 1) for each in sums)
    expected = (counts / 60 * np.abs(accuracy - mean)).sum()
    found = expected_calibration_error(torch.tensor(probabilities), torch.tensor(labels), bins)
    assert found == pytest.approx(expected, abs=1e-12)


def drawn(temperature, images, classes=10):
    """Log-probabilities that are too sharp by this temperature, and labels: a model whose T is known."""
    generator = torch.Generator().manual_seed(images)
    honest = 2 * torch.randn(images, classes, generator=generator)
    labels = torch.multinomial(honest.softmax(1), 1, generator=generator)[:, 0]
    return (temperature * honest).log_softmax(1), labels


@pytest.mark.parametrize("temperature", [0.3, 1.0, 4.0, 50.0])
def test_a_known_temperature_is_found(temperature):
    log_probabilities, labels = drawn(temperature, 20_000)
    assert fitted_temperature(log_probabilities, labels) == pytest.approx(temperature, rel=0.03)


def likelihood(log_probabilities, labels, temperature):
    """The mean log-likelihood of the labels, in NumPy."""
    values = log_probabilities.double().numpy() / temperature
    values -= np.logaddexp.reduce(values, axis=1, keepdims=True)
    return values[np.arange(len(labels)), labels.numpy()].mean()


@pytest.mark.parametrize(("temperature", "images"), [(0.5, 30), (3.0, 80), (8.0, 500)])
def test_the_temperature_is_the_best_of_a_grid(temperature, images):
    log_probabilities, labels = drawn(temperature, images)
    grid = np.exp(np.linspace(math.log(0.05), math.log(100), 4001))
    best = grid[np.argmax([likelihood(log_probabilities, labels, each) for each in grid])]
    assert fitted_temperature(log_probabilities, labels) == pytest.approx(best, rel=2 * math.log(2000) / 4000)


def test_scaling_mends_a_sharp_model_and_changes_no_guess():
    log_probabilities, labels = drawn(5.0, 20_000)
    tempered = scaled(log_probabilities, fitted_temperature(log_probabilities, labels))
    assert expected_calibration_error(log_probabilities.exp(), labels) > 0.2
    assert expected_calibration_error(tempered, labels) < 0.02
    assert torch.equal(tempered.argmax(1), log_probabilities.argmax(1))


def test_a_temperature_stays_within_its_range():
    """All right: the colder the likelier. All wrong: the hotter. A probability of 0 is a very small one."""
    sure = torch.tensor([[0.0, -5.0], [0.0, -7.0]])
    assert fitted_temperature(sure, torch.tensor([0, 0])) == COLDEST
    assert fitted_temperature(sure, torch.tensor([1, 1])) == HOTTEST
    impossible = torch.tensor([[0.0, -math.inf]] * 3)
    assert COLDEST < fitted_temperature(impossible, torch.tensor([0, 0, 1])) <= HOTTEST
    assert torch.isfinite(scaled(impossible, 2.0)).all()
