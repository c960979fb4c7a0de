"""The paper's model without its bound: the label term of the whole model, and nothing of the images."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from data.errors import UserError
from experiments.learning.contract import SYSTEMS
from tests.experiments.learning.test_variational import settings_of, task_of
from vae.model import Batch, Labelled

PAIRS = [("bsvm", "encoder"), ("bsvm", "ablation"), ("tbsvm", "transductive-encoder")]
MARGINALISED = {"marginalised_batch": 4}


def made(name, **changes):
    small = MARGINALISED if name in ("tbsvm", "transductive-encoder") else {}
    task = task_of(**changes)
    task = replace(task, axes={**task.axes, "system": name})
    return SYSTEMS.get(name).learner(task, settings_of("tbsvm" if small else "bsvm", **small))


def test_a_batch_without_images_has_the_label_terms_gradient_alone():
    """Against the definition: the mean label term, written out, and its gradient by autograd."""
    model = made("bsvm").model
    task = task_of()
    images, labels = task.store.batch(task.labelled), torch.from_numpy(task.store.labels[task.labelled])
    named = dict(model.named_parameters())
    torch.nn.init.normal_(model.label_model.beta)  # at 0 the code would not matter
    torch.manual_seed(1)
    loss, parts = model.loss(Batch(labelled=Labelled(images, labels, total=8, weight=3.0)))
    grown = torch.autograd.grad(loss, list(named.values()), allow_unused=True)
    torch.manual_seed(1)
    encoding = model.encode(images)
    code = encoding.sample(1).flatten(0, 1)  # [D, B]
    signs = torch.where(torch.nn.functional.one_hot(labels, 2).T == 1, 1.0, -1.0)
    scores = model.label_model.beta @ code + model.label_model.intercept
    term = (-2 * model.label_model.gamma * (1 - signs * scores).clamp(min=0)).sum(0).mean()
    whole = -3.0 * (term + model.label_model.log_prior() / 8)
    expected = torch.autograd.grad(whole, list(named.values()), allow_unused=True)
    assert loss.item() == pytest.approx(whole.item(), rel=1e-5)
    assert parts["label_term"].item() * -3.0 == pytest.approx(whole.item(), rel=1e-5)
    for name, left, right in zip(named, grown, expected, strict=True):
        assert (left is None) == (right is None) == name.startswith("decoder."), name
        if left is not None:
            torch.testing.assert_close(left, right, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("whole", "alone"), PAIRS)
def test_a_pair_has_the_same_start_and_the_same_labelled_draws(whole, alone):
    left, right = made(whole), made(alone)
    states = left.model.state_dict(), right.model.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    for (_, ours), (_, theirs) in zip(left.order(1), right.order(1), strict=True):
        assert (ours == theirs).all()
    assert (left.epochs, left.steps_per_epoch) == (right.epochs, right.steps_per_epoch)


@pytest.mark.parametrize("name", ["encoder", "transductive-encoder"])
def test_images_without_labels_matter_only_to_the_missing_labels(name):
    learner = made(name)
    seen = []
    real = learner.task.store.batch
    object.__setattr__(learner.task.store, "batch", lambda indices, *a: (seen.extend(indices), real(indices, *a))[1])
    try:
        before = {key: value.clone() for key, value in learner.model.state_dict().items()}
        rows = list(learner.epoch(0))
    finally:
        object.__delattr__(learner.task.store, "batch")
    unlabelled = set(map(int, seen)) - set(learner.task.labelled.tolist())
    assert bool(unlabelled) == (name == "transductive-encoder")
    assert all("elbo" not in row and row["images"] == 4 for row in rows)
    moved = {key for key, value in learner.model.state_dict().items() if not torch.equal(value, before[key])}
    assert moved
    assert not any(key.startswith("decoder.") for key in moved)
    assert learner.images_per_step == 4 + (8 if name == "transductive-encoder" else 0)
    assert learner.bound(real(np.arange(2))) == learner.pictures(real(np.arange(2))) == {}


def test_it_learns_two_plain_classes():
    learner = SYSTEMS.get("encoder").learner(task_of(), settings_of("bsvm", updates=60))
    for epoch in range(learner.epochs):
        list(learner.epoch(epoch))
    task = task_of()
    predicted = learner.log_probabilities(task.store.batch(np.arange(32, 40))).argmax(1).numpy()
    assert (predicted == task.store.labels[32:40]).all()


@pytest.mark.parametrize("name", ["encoder", "ablation", "transductive-encoder"])
def test_without_labels_there_is_nothing_to_learn_from(name):
    with pytest.raises(UserError, match=rf"system '{name}' learns from labels alone, so ξ = 0 leaves it nothing"):
        made(name, xi=0.0)
