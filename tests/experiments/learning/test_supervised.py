"""Training on labelled images alone: what it learns, what it must not see, and that it repeats itself."""

from __future__ import annotations

import dataclasses
import io
import math

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import nn

from data.prepared.store import ImageStore
from experiments.learning import contract
from experiments.learning.randomness import seeded
from experiments.learning.supervised import Standardise

SYSTEMS = ["alexnet", "googlenet"]
SETTINGS = {
    "epochs": 3,
    "updates": 6,
    "batch": 8,
    "learning_rate": 0.002,
    "weight_decay": 0.05,
    "warmup": 0.1,
    "shift": 2,
    "rotation": 10,
    "zoom": 0.1,
    "width": 0.125,
    "dropout": 0.5,
}

STILL = {"shift": 0, "rotation": 0, "zoom": 0}
PSEUDO = {"unlabelled_batch": 8, "confidence": 0.3, "unlabelled_weight": 1.0}


def make_task(shape=(28, 28, 1), count=60, labelled=20, seed=0, system="alexnet") -> contract.Task:
    """Images of one bright bar on noise; its place is the class."""
    rng = np.random.default_rng(seed)
    labels = np.arange(count, dtype=np.int64) % 4
    images = rng.integers(0, 60, (count, *shape), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        start = 2 + 6 * label
        image[start : start + 4] = 220
    store = ImageStore("bars", images, labels, ("a", "b", "c", "d"), "none")
    return contract.Task(
        store=store,
        train=np.arange(count - 20),
        labelled=np.arange(labelled),
        validation=np.arange(count - 20, count),
        proportion=labelled / (count - 20),
        xi=None,
        seed=0,
        axes={"dataset": "bars", "system": system, "proportion": 0.5, "repetition": 0},
        device=torch.device("cpu"),
    )


def make_learner(task: contract.Task, **changes) -> contract.Learner:
    system = contract.SYSTEMS.get(task.axes["system"])
    return system.learner(task, system.Settings(**{**SETTINGS, **changes}))


def train(learner: contract.Learner, start: int = 0, end: int | None = None) -> list[float]:
    epochs = range(start, learner.epochs if end is None else end)
    return [float(step["loss"]) for epoch in epochs for step in learner.epoch(epoch)]


def same(left, right) -> bool:
    """Whether two nested states hold the same bits."""
    if isinstance(left, torch.Tensor):
        return torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return left == right


@pytest.mark.parametrize("system", SYSTEMS)
def test_it_overfits_twenty_images_and_knows_new_ones(system):
    task = make_task(system=system)
    rate = {"alexnet": 0.002, "googlenet": 0.01}[system]
    learner = make_learner(task, epochs=6, updates=60, **STILL, dropout=0.2, learning_rate=rate)
    losses = train(learner)
    assert np.mean(losses[-5:]) < 0.1 < losses[0]
    for indices in (task.labelled, task.validation):
        predicted = learner.log_probabilities(task.store.batch(indices)).argmax(1).numpy()
        assert (predicted == task.store.labels[indices]).all()


@pytest.mark.parametrize("shape", [(28, 28, 1), (32, 32, 3)], ids=["28×28×1", "32×32×3"])
@pytest.mark.parametrize("system", SYSTEMS)
def test_predictions_are_probabilities_that_repeat_and_ignore_the_batch(system, shape):
    task = make_task(shape, system=system)
    learner = make_learner(task)
    train(learner, end=1)
    images = task.store.batch(task.validation)
    before = learner.state()
    probabilities = learner.log_probabilities(images).exp()
    assert probabilities.shape == (20, 4)
    assert not probabilities.requires_grad
    torch.testing.assert_close(probabilities.sum(1), torch.ones(20))
    assert torch.equal(learner.log_probabilities(images).exp(), probabilities)
    torch.testing.assert_close(learner.log_probabilities(images[:3]).exp(), probabilities[:3])
    assert same(before, learner.state())


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_restored_learner_goes_on_with_the_digits_of_one_never_stopped(system):
    task = make_task(system=system)
    whole = make_learner(task)
    torch.manual_seed(1)
    losses = train(whole)

    stopped = make_learner(task)
    torch.manual_seed(2)  # what the global stream holds is of no account
    first = train(stopped, end=1)
    kept = io.BytesIO()
    torch.save(stopped.state(), kept)
    train(stopped, start=1)  # goes on after its state was taken, without changing it
    kept.seek(0)
    resumed = make_learner(task)
    resumed.restore(torch.load(kept, weights_only=True))
    assert first + train(resumed, start=1) == losses
    assert same(resumed.state(), whole.state())
    assert same(stopped.state(), whole.state())


def test_a_state_is_not_changed_by_training_on():
    learner = make_learner(make_task())
    train(learner, end=1)
    state = learner.state()
    losses = train(learner, start=1)
    learner.restore(state)
    assert train(learner, start=1) == losses
    learner.restore(state)
    assert train(learner, start=1) == losses


@pytest.mark.parametrize("system", SYSTEMS)
def test_other_labels_and_other_images_have_no_influence(system):
    task = make_task(system=system)
    labels, images = task.store.labels.copy(), task.store.images.copy()
    labels[20:] = np.roll(labels[20:], 1)
    images[20:] = 255 - images[20:]
    other = dataclasses.replace(task, store=dataclasses.replace(task.store, labels=labels, images=images))
    learners = [make_learner(each) for each in (task, other)]
    assert train(learners[0]) == train(learners[1])
    assert same(learners[0].state(), learners[1].state())


def test_labels_of_the_labelled_and_the_repetition_do_have_influence():
    task = make_task()
    labels = task.store.labels.copy()
    labels[:20] = np.roll(labels[:20], 1)
    relabelled = dataclasses.replace(task, store=dataclasses.replace(task.store, labels=labels))
    repeated = dataclasses.replace(task, axes={**task.axes, "repetition": 1})
    losses = [train(make_learner(each), end=1) for each in (task, relabelled, repeated)]
    assert losses[0] != losses[1]
    assert losses[0] != losses[2]


def test_the_callers_random_stream_is_left_alone():
    learner = make_learner(make_task())
    torch.manual_seed(5)
    expected = torch.rand(6)
    torch.manual_seed(5)
    drawn = [torch.rand(1) for _ in learner.epoch(0)]
    drawn += [torch.rand(1) for _ in range(6 - len(drawn))]
    assert len(drawn) > 1
    assert torch.equal(torch.cat(drawn), expected)


def test_seeded_draws_depend_on_the_seed_alone():
    def draw(seed: int) -> torch.Tensor:
        with seeded(seed, torch.device("cpu")):
            return torch.rand(3)

    assert torch.equal(draw(3), draw(3))
    assert not torch.equal(draw(3), draw(4))


@pytest.mark.parametrize(("labelled", "expected"), [(3, 2), (16, 2), (20, 3), (40, 5)])
def test_images_are_drawn_equally_often_in_a_pass_and_in_the_updates_asked_for(labelled, expected):
    learner = make_learner(make_task(labelled=labelled))
    drawn = []

    class Spy:
        def __getattr__(self, name):
            return getattr(store, name)

        def batch(self, indices, device):
            drawn.extend(indices.tolist())
            return store.batch(indices, device)

    store = learner.task.store
    learner.task = dataclasses.replace(learner.task, store=Spy())
    steps = list(learner.epoch(0))
    assert len(steps) == learner.steps_per_epoch == expected
    assert sum(step["images"] for step in steps) == len(drawn) == 8 * expected
    counts = np.bincount(drawn, minlength=labelled)
    assert len(counts) == labelled
    assert counts.max() - counts.min() <= 1


def test_the_learning_rate_rises_then_falls_along_a_cosine():
    learner = make_learner(make_task(), epochs=10, warmup=0.2)
    total = 10 * learner.steps_per_epoch
    rates = [learner.learning_rate(step) for step in range(total)]
    rising = int(0.2 * total)
    assert max(rates) == rates[rising] == 0.002
    assert rates[: rising + 1] == sorted(rates[: rising + 1])
    assert rates[rising:] == sorted(rates[rising:], reverse=True)
    assert rates[rising + (total - rising) // 2] == pytest.approx(0.001)
    assert 0 < rates[-1] < 0.00005
    steps = [step["learning_rate"] for epoch in (0, 1) for step in learner.epoch(epoch)]
    assert steps == rates[: len(steps)]


def test_weight_decay_shrinks_weights_but_not_biases():
    learner = make_learner(make_task(), weight_decay=0.5)
    groups = learner.optimizer.param_groups
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0]
    assert all(parameter.ndim > 1 for parameter in groups[0]["params"])
    assert all(parameter.ndim == 1 for parameter in groups[1]["params"])
    assert sum(len(group["params"]) for group in groups) == len(list(learner.model.parameters()))


def test_standardised_images_have_mean_0_and_deviation_1_a_channel():
    task = make_task((32, 32, 3))
    task.store.images[..., 2] = 7  # a channel that never varies
    images = task.store.batch(task.labelled)
    values = Standardise(images)(images).transpose(0, 1).flatten(1)
    torch.testing.assert_close(values.mean(1), torch.zeros(3), atol=1e-4, rtol=0)
    torch.testing.assert_close(values[:2].std(1), torch.ones(2))
    assert values[2].abs().max() < 1e-3


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_fresh_networks_layers_all_give_deviation_1_and_its_scores_0_1(system):
    task = make_task(system=system)
    learner = make_learner(task)
    deviations = []
    for layer in learner.model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda _layer, _inputs, outputs: deviations.append(float(outputs.std())))
            assert layer.bias is None or not layer.bias.any()
    learner.log_probabilities(task.store.batch(task.labelled))
    assert len(deviations) == {"alexnet": 8, "googlenet": 40}[system]
    assert deviations == pytest.approx([1.0] * (len(deviations) - 1) + [0.1], rel=1e-3)


@pytest.mark.parametrize(
    ("key", "value"),
    [("epochs", 0), ("batch", 1), ("learning_rate", 0), ("warmup", 1), ("dropout", 1), ("width", 0), ("nonsense", 1)],
)
def test_impossible_settings_are_named(key, value):
    with pytest.raises(ValidationError, match=key):
        contract.SYSTEMS.get("alexnet").Settings(**{**SETTINGS, key: value})


def test_a_loss_that_is_not_finite_is_handed_on():
    learner = make_learner(make_task(), learning_rate=1.0, weight_decay=0.0, warmup=0.0)
    with torch.no_grad():
        next(learner.model.parameters()).fill_(math.inf)
    assert not math.isfinite(float(next(iter(learner.epoch(0)))["loss"]))


def pseudo(task, **changes):
    """The learner that teaches itself, on the same random streams as AlexNet's of that task."""
    return contract.SYSTEMS.get("pseudo").learner(
        task, contract.SYSTEMS.get("pseudo").Settings(**SETTINGS | PSEUDO | changes)
    )


def test_guesses_below_the_threshold_teach_nothing():
    task = make_task()
    alexnet, unsure = make_learner(task), pseudo(task, confidence=0.999, learning_rate=1e-6)
    alexnet.settings = alexnet.settings.model_copy(update={"learning_rate": 1e-6})
    assert train(alexnet, end=1) == train(unsure, end=1)
    assert train(alexnet, end=1) != train(pseudo(task, confidence=0.01, learning_rate=1e-6), end=1)


def test_with_every_label_it_is_alexnet():
    task = make_task(labelled=40)
    assert train(make_learner(task)) == train(pseudo(task))


def test_images_without_labels_teach_but_not_their_labels():
    task = make_task()
    labels, images = task.store.labels.copy(), task.store.images.copy()
    labels[20:] = np.roll(labels[20:], 1)
    images[20:40] = 255 - images[20:40]
    relabelled = dataclasses.replace(task, store=dataclasses.replace(task.store, labels=labels))
    redrawn = dataclasses.replace(task, store=dataclasses.replace(task.store, images=images))
    assert train(pseudo(task)) == train(pseudo(relabelled))
    assert train(pseudo(task)) != train(pseudo(redrawn))


def test_guesses_come_from_the_image_as_it_is_and_are_learned_on_its_view(monkeypatch):
    """Two steps of the loss written out: labelled cross-entropy, and that of confident guesses on moved copies."""
    task = make_task()
    learner = pseudo(task, dropout=0.0)
    monkeypatch.setattr(type(learner.settings), "augmented", lambda self, images: images.flip(3))
    chosen = torch.arange(8)
    torch.manual_seed(0)
    drawn = torch.randint(20, (8,)).numpy()
    torch.manual_seed(0)
    found = learner._loss(chosen)
    with torch.no_grad():
        seen, unseen = task.store.batch(np.arange(8)), task.store.batch(20 + drawn)
        sure, guess = learner.log_probabilities(unseen).exp().max(1)
        wanted = nn.functional.cross_entropy(learner.model(seen.flip(3)), torch.from_numpy(task.store.labels[:8]))
        guessed = -learner.model(unseen.flip(3)).log_softmax(1)[torch.arange(8), guess]
        wanted = wanted + (guessed * (sure >= 0.3)).sum() / 8
    torch.testing.assert_close(found.detach(), wanted)
