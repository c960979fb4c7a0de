"""Accuracies of predictions that are known."""

import numpy as np
import torch

from experiments.learning.contract import Learner
from experiments.trials.label_evaluation import evaluate


class Fixed(Learner):
    """Says class `images[0, 0, 0] · 255`, then the next ones."""

    def log_probabilities(self, images):
        first = (images[:, 0, 0, 0] * 255).round().long()
        ranks = (torch.arange(10)[None] - first[:, None]) % 10
        return ((10.0 - ranks) / 55).log()


class FakeStore:
    def __init__(self, said, labels):
        self.images = torch.zeros(len(said), 1, 2, 2)
        self.images[:, 0, 0, 0] = torch.tensor(said) / 255
        self.labels = np.array(labels)
        self.shape = (1, 2, 2)

    def batch(self, indices, device):
        return self.images[indices]


def test_top1_and_top5_are_what_they_say(cpu):
    store = FakeStore(said=[0, 3, 9, 5] * 300, labels=[0, 7, 3, 1] * 300)  # hit; 5th; 5th (9 0 1 2 3); miss
    found = evaluate(Fixed(), store, np.arange(1200), cpu)
    assert (found["top1"], found["top5"]) == (25.0, 75.0)
    assert set(found) == {"top1", "top5", "ece", "ms_per_image", "averaging", "tally"}
    assert found["tally"].guesses[:4].tolist() == [0, 3, 9, 5]
    assert found["averaging"] == []


class Averaging(Fixed):
    """Is right with an even number of draws alone."""

    def average(self, images, draws):
        return self.log_probabilities(images).roll(draws % 2, 1)


def test_each_number_of_draws_is_measured_on_the_same_images(cpu):
    store = FakeStore(said=[0, 3], labels=[0, 3])
    found = evaluate(Averaging(), store, np.arange(2), cpu, averages=(0, 1, 10))
    assert [(entry["draws"], entry["top1"]) for entry in found["averaging"]] == [(0, 100.0), (1, 0.0), (10, 100.0)]
    assert found["top1"] == 100.0


class Confident(Learner):
    """Of a hundred classes, 0 is the most probable, and each is e⁻³⁰⁰ times as probable as the one before it."""

    def log_probabilities(self, images):
        return (-300.0 * torch.arange(100)).log_softmax(0).expand(len(images), -1)


def test_classes_whose_probabilities_are_zero_in_single_precision_are_ranked(cpu):
    store = FakeStore(said=[0] * 4, labels=[0, 1, 4, 5])
    found = evaluate(Confident(), store, np.arange(4), cpu)
    assert (found["top1"], found["top5"]) == (25.0, 75.0)
