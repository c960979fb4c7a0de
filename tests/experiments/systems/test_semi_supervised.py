"""Mean Teacher, FixMatch and FreeMatch: their losses against a second, plain writing of them."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from experiments.learning.contract import SYSTEMS
from experiments.learning.modern_network import modern_network
from experiments.systems import fixmatch, freematch
from tests.experiments.learning.test_supervised import STILL, make_task, same, train

NAMES = ["cnn", "mean-teacher", "fixmatch", "freematch"]
COMMON = {"updates": 6, "epochs": 1, "batch": 8, "learning_rate": 0.003, "weight_decay": 0.1, "warmup": 0.1}
OWN = {
    "cnn": {},
    "mean-teacher": {"unlabelled_batch": 6, "unlabelled_weight": 3.0, "rising": 0.5},
    "fixmatch": {"unlabelled_batch": 6, "unlabelled_weight": 2.0, "confidence": 0.3},
    "freematch": {
        "unlabelled_batch": 6,
        "unlabelled_weight": 2.0,
        "threshold_decay": 0.7,
        "fairness_weight": 0.5,
    },
}


def made(name, task=None, **changes):
    system = SYSTEMS.get(name)
    settings = {**COMMON, **STILL, "averaging": 0.9, **OWN[name], **changes}
    return system.learner(task or make_task(system=name), system.Settings(**settings))


@pytest.mark.parametrize("name", NAMES)
def test_it_learns_and_is_certain_of_nothing_it_cannot_repeat(name):
    sure = {"confidence": 0.9} if name == "fixmatch" else {}
    learner = made(name, updates=200, **sure)
    losses = train(learner)
    assert all(map(math.isfinite, losses))
    images, labels = learner.task.store.batch(learner.task.validation), learner.task.store.labels
    found = learner.log_probabilities(images)
    assert (found.argmax(1).numpy() == labels[learner.task.validation]).mean() > 0.9
    assert torch.equal(found, learner.log_probabilities(images))
    learner.finish()
    torch.testing.assert_close(learner.model.eval()(images).log_softmax(1), found)


@pytest.mark.parametrize("name", NAMES)
def test_a_restored_learner_goes_on_with_the_same_digits(name):
    whole, first, second = made(name, updates=120), made(name, updates=120), made(name, updates=120)
    assert whole.epochs > 1
    train(whole)
    train(first, end=1)
    second.restore(first.state())
    train(second, start=1)
    assert same(whole.state(), second.state())


def test_an_average_is_the_sum_that_it_stands_for():
    """Weights w_1, w_2, …, with decays that start at 1/10, 2/11, …, and stop at the setting's."""
    learner = made("cnn", updates=5, averaging=0.25)
    first = [p.detach().clone() for p in learner.model.parameters()]
    expected = first
    for taken, _ in enumerate(learner.epoch(0), 1):
        decay = min(0.25, taken / (taken + 9))
        weights = learner.model.parameters()
        expected = [decay * old + (1 - decay) * new for old, new in zip(expected, weights, strict=True)]
    for ours, theirs in zip(learner.average_model.parameters(), expected, strict=True):
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-5, atol=1e-6)


def test_a_mean_teacher_is_followed_as_far_as_the_ramp_says():
    """At step 0 teacher and network are the same, so on unchanged images their distance is that of two batches."""
    learner = made("mean-teacher", updates=10)
    for taken, weight in ((0, math.exp(-5)), (2, math.exp(-5 * 0.6**2)), (5, 1.0), (9, 1.0)):
        learner.taken = taken
        assert learner.ramp(0.5) == pytest.approx(weight)
    learner.taken = 5
    loss = loss_of(learner)
    torch.manual_seed(0)
    images = learner._drawn()
    labelled = learner.task.store.batch(learner.task.labelled[:8])
    with torch.no_grad():
        student = learner.model.train()(torch.cat([labelled, images]))
        teacher = learner.average_model.train()(images)
    cross = np.mean([-student[i].log_softmax(0)[learner.labels[i]].item() for i in range(8)])
    left, right = student[8:].softmax(1).numpy(), teacher.softmax(1).numpy()
    distance = sum((left[i, c] - right[i, c]) ** 2 for i in range(6) for c in range(4)) / 6
    assert loss == pytest.approx(cross + 3.0 * distance, rel=1e-4)
    assert distance > 0


@pytest.fixture
def inverted(monkeypatch):
    """Strong changes that turn white to black, and nothing else, so that losses can be written down."""
    for module in (fixmatch, freematch):
        monkeypatch.setattr(module, "strongly_changed", lambda images: 1 - images)


def views_of(learner):
    """The scores of labelled and of inverted images that a step sees, and the guesses of the unchanged ones."""
    torch.manual_seed(0)
    images = learner._drawn()
    with torch.no_grad():
        guesses = learner.model.train()(images).softmax(1)
        scores = learner.model(torch.cat([learner.task.store.batch(learner.task.labelled[:8]), 1 - images]))
    return scores[:8], scores[8:], guesses


def loss_of(learner):
    learner.model.train()
    torch.manual_seed(0)
    return learner._loss(torch.arange(8)).item()


@pytest.mark.parametrize("confidence", [0.01, 0.27, 0.999])
def test_fixmatch_learns_what_it_is_sure_of(inverted, confidence):
    learner = made("fixmatch", confidence=confidence)
    labelled, strong, guesses = views_of(learner)
    learner = made("fixmatch", confidence=confidence)
    total = np.mean([-labelled[i].log_softmax(0)[learner.labels[i]].item() for i in range(8)])
    for i in range(6):
        if guesses[i].max() >= confidence:
            total += 2.0 * -strong[i].log_softmax(0)[guesses[i].argmax()].item() / 6
    assert loss_of(learner) == pytest.approx(total, rel=1e-4)


def test_freematch_s_thresholds_are_running_means_scaled_by_class():
    learner = made("freematch")
    rng = np.random.default_rng(0)
    confidence, mean, histogram = 0.25, np.full(4, 0.25), np.full(4, 0.25)
    for _ in range(3):
        guesses = rng.dirichlet([0.5] * 4, 6)
        sure = learner.sure(torch.tensor(guesses, dtype=torch.float32))
        confidence = 0.7 * confidence + 0.3 * guesses.max(1).mean()
        mean = 0.7 * mean + 0.3 * guesses.mean(0)
        histogram = 0.7 * histogram + 0.3 * np.bincount(guesses.argmax(1), minlength=4) / 6
        thresholds = [confidence * mean[c] / mean.max() for c in range(4)]
        assert sure.tolist() == [row.max() >= thresholds[row.argmax()] for row in guesses]
        assert learner.confidence.item() == pytest.approx(confidence, rel=1e-5)
        assert learner.probabilities.tolist() == pytest.approx(mean, rel=1e-5)
        assert learner.histogram.tolist() == pytest.approx(histogram, rel=1e-5)


def test_freematch_s_loss_written_out(inverted):

    def unsure():
        """A learner whose first scores differ, so that it is sure of some images alone."""
        learner = made("freematch")
        learner.model[-1][-1].weight.data.mul_(20)
        learner.confidence.fill_(0.6)
        return learner

    labelled, strong, guesses = views_of(unsure())
    sure, learner = unsure().sure(guesses), unsure()
    assert 0 < sure.sum() < 6
    total = np.mean([-labelled[i].log_softmax(0)[learner.labels[i]].item() for i in range(8)])
    chosen = [i for i in range(6) if sure[i]]
    total += 2.0 * sum(-strong[i].log_softmax(0)[guesses[i].argmax()].item() for i in chosen) / 6
    mean = 0.7 * 0.25 + 0.3 * guesses.numpy().mean(0)
    histogram = 0.7 * 0.25 + 0.3 * np.bincount(guesses.numpy().argmax(1), minlength=4) / 6
    predicted = strong[chosen].softmax(1).numpy()
    shares = np.bincount(predicted.argmax(1), minlength=4) / len(chosen)
    ratio = mean / histogram
    found = np.divide(predicted.mean(0), shares, out=np.zeros(4), where=shares > 0)
    total += 0.5 * np.sum(ratio / ratio.sum() * np.log(found / found.sum() + 1e-12))
    assert loss_of(learner) == pytest.approx(total, rel=1e-4)


def test_fairness_is_best_where_both_sides_are_alike_in_cross_entropy_alone():
    """Without a sure image there is no fairness loss, and no gradient of it."""
    learner = made("freematch")
    scores = torch.randn(5, 4, requires_grad=True)
    assert learner.unfairness(scores, torch.zeros(5, dtype=torch.bool)).item() == 0
    learner.unfairness(scores, torch.ones(5, dtype=torch.bool)).backward()
    assert torch.isfinite(scores.grad).all()
    assert scores.grad.abs().sum() > 0


@pytest.mark.parametrize("name", NAMES[1:])
def test_images_without_labels_are_any_of_the_training_part(name):
    task = make_task(system=name)
    learner = made(name, task)
    seen = []
    real = task.store.batch
    spy = SimpleNamespace(batch=lambda indices, *a: (seen.append(indices), real(indices, *a))[1])
    object.__setattr__(learner.task, "store", spy)
    for _ in range(40):
        learner._drawn()
    assert set(np.concatenate(seen)) <= set(task.train)
    assert len(set(np.concatenate(seen))) > len(task.labelled)
    assert learner.images_per_step == 8 + 2 * 6


def test_a_network_for_small_images_and_one_for_large_ones():
    small, large = modern_network((1, 28, 28), 10), modern_network((3, 32, 32), 10)
    assert small(torch.rand(2, 1, 28, 28)).shape == large(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    # 1.47 million: the size of WRN-28-2 that comparisons of semi-supervised learning state.
    assert sum(p.numel() for p in large.parameters()) == pytest.approx(1.47e6, rel=0.01)
