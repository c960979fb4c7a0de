"""Bias and variance of gradients: by hand, and on the model where they are known."""

import math

import pytest
import torch

from experiments.learning.contract import SYSTEMS
from experiments.studies.switch_gradients import (
    Gradients,
    fixed_batch,
    learn_baselines,
    sample_gradients,
    step_milliseconds,
)
from tests.experiments.learning.test_variational import settings_of, task_of


def learner_of(estimator, reading="factorised"):
    return SYSTEMS.get("bsvm").learner(task_of(), settings_of("bsvm", estimator=estimator, reading=reading))


def test_distance_by_hand():
    reference = Gradients(torch.tensor([3.0, 4.0]), variance=2.0, count=8)
    bias, noise, variance = Gradients(torch.tensor([3.0, 9.0]), variance=100.0, count=4).distance(reference)
    assert bias == pytest.approx(5 / 5)
    assert noise == pytest.approx(math.sqrt(100 / 4 + 2 / 8) / 5)
    assert variance == pytest.approx(100 / 25)


def test_the_batch_is_drawn_once_and_for_all():
    learner = learner_of("exact")
    (images, labelled), (again, _) = fixed_batch(learner), fixed_batch(learner)
    assert torch.equal(images, again)
    task, size = learner.task, learner.settings.batch
    assert len(images.flatten(1).unique(dim=0)) == size, "no image comes twice"
    assert not torch.equal(images, task.store.batch(task.train[:size])), "the first ones may be of one class"
    assert len(labelled.labels) == learner.settings.labelled_batch


@pytest.mark.parametrize("estimator", ["nvil", "rloo", "exact"])
def test_unbiased_estimators_lie_within_noise_of_the_reference(estimator):
    """The root mean square that noise gives the distance, from the samples themselves, is what it is."""
    reference = sample_gradients(learner_of("exact"), 60, "reference")
    learner = learner_of(estimator)
    learn_baselines(learner)
    bias, noise, _ = sample_gradients(learner, 60, estimator).distance(reference)
    assert bias < 2 * noise


def test_one_step_varies_least_where_switches_are_integrated_out():
    variances = {name: sample_gradients(learner_of(name), 30, name).variance for name in ("exact", "rloo")}
    assert variances["exact"] < variances["rloo"] / 10


def test_labels_are_in_the_shared_gradient():
    first, second = learner_of("rloo", "shared"), learner_of("rloo", "shared")
    second.label_weight = 2 * first.label_weight
    torch.nn.init.ones_(first.model.label_model.beta[:1])
    torch.nn.init.ones_(second.model.label_model.beta[:1])
    found = [sample_gradients(learner, 2, "same").mean for learner in (first, second)]
    assert not torch.allclose(*found)


def test_baselines_learn_and_the_model_stays():
    learner = learner_of("nvil")
    before = {name: value.clone() for name, value in learner.model.state_dict().items()}
    learn_baselines(learner)
    for name, value in learner.model.state_dict().items():
        if not name.startswith("estimator."):
            assert torch.equal(value, before[name])
    baselines = learner.model.estimator.baselines["images-0"]
    assert baselines.started
    assert (baselines.network[0].weight != before["estimator.baselines.images-0.network.0.weight"]).any()
    assert baselines.variance > 1


def test_steps_are_timed_in_turn():
    learners = {name: learner_of(name) for name in ("exact", "rloo")}
    found = step_milliseconds(learners, 3)
    assert found.keys() == learners.keys()
    assert all(milliseconds > 0 for milliseconds in found.values())
    assert all(learner.trainer.schedule.last_epoch == 4 for learner in learners.values())
