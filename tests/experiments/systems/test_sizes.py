"""Every system on images of every size in the paper's Table 2: a step changes the weights, by a loss that is finite."""

from pathlib import Path

import numpy as np
import pytest
import torch

from data.prepared.store import ImageStore
from experiments.learning import contract
from experiments.settings.config import load
from experiments.systems.alexnet import AlexNet
from experiments.systems.googlenet import GoogLeNet

SYSTEMS = ["alexnet", "bsvm", "googlenet", "m2", "pseudo", "softmax", "tbsvm"]
# Side, channels, a row of Table 2 for such images.
SIZES = [(28, 1, "mnist"), (32, 3, "cifar-10"), (128, 3, "caltech-101"), (256, 3, "flickr8k")]


@pytest.fixture(scope="module")
def shipped():
    return load(Path(__file__).parents[3] / "params.yaml").settings


def learner_of(shipped, system, side, channels, architecture, xi="auto", half=4, **changes):
    """The shipped settings, but for small batches and one step an epoch, on `half` labelled and as many others."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2 * half, side, side, channels), dtype=np.uint8)
    store = ImageStore("noise", images, np.arange(2 * half) % 2, ("even", "odd"), "none")
    kind, used = contract.SYSTEMS.get(system), shipped[system]
    small = {
        "batch": 2 * half,
        "labelled_batch": half,
        "marginalised_batch": 2,
        "unlabelled_batch": 2,
        "updates": 1,
    }
    small |= {"architecture": architecture, **changes}
    own = {name: value for name, value in small.items() if name in type(used).model_fields}
    axes = {"dataset": "noise", "system": system, "proportion": 0.5, "repetition": 0}
    every = np.arange(2 * half)
    xi, device = xi if kind.uses_xi else None, torch.device("cpu")
    task = contract.Task(store, every, every[:half], every[half:], 0.5, xi, 0, axes, device)
    return kind.learner(task, type(used).model_validate({**used.model_dump(), **own}))


def weights(learner):
    return torch.cat([p.detach().flatten() for p in learner.model.parameters()])


def check_one_step(learner):
    before = weights(learner)
    (step,) = learner.epoch(0)
    after = weights(learner)
    assert np.isfinite(float(step["loss"]))
    assert after.isfinite().all()
    assert not torch.equal(after, before)
    predicted = learner.log_probabilities(learner.task.store.batch(learner.task.validation)).exp()
    torch.testing.assert_close(predicted.sum(1), torch.ones(len(predicted)))


@pytest.mark.slow
@pytest.mark.parametrize(("side", "channels", "architecture"), SIZES)
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_step_on_images_of_this_size(shipped, system, side, channels, architecture):
    check_one_step(
        learner_of(shipped, system, side, channels, architecture, half=2 if side > 100 else 4, crop=0.2, flip=True)
    )


@pytest.mark.slow
def test_a_step_of_the_papers_imagenet_row(shipped):
    check_one_step(learner_of(shipped, "bsvm", 256, 3, "imagenet", half=2))


@pytest.mark.parametrize(("side", "maps"), [(28, 2), (32, 3), (128, 3), (224, 6), (256, 7)])
def test_alexnets_last_maps_are_6_by_6_on_published_images_and_more_than_one_value_on_small_ones(side, maps):
    features = AlexNet((3, side, side), classes=10, width=0.125, dropout=0.0).features
    assert features(torch.zeros(1, 3, side, side)).shape[1] == 32 * maps**2  # 256 channels an eighth as wide


@pytest.mark.parametrize(("side", "maps"), [(28, 2), (32, 2), (128, 4), (224, 7), (256, 8)])
def test_googlenets_last_maps_are_7_by_7_on_published_images(side, maps):
    features = GoogLeNet((3, side, side), classes=10, width=0.125, dropout=0.0).eval().features
    assert features(torch.zeros(1, 3, side, side)).shape[2:] == (maps, maps)


def test_codes_that_a_label_model_is_fitted_to_are_made_a_few_images_at_a_time(shipped, monkeypatch):
    learner = learner_of(shipped, "bsvm", 32, 3, "cifar-10", xi=0.0)
    whole = learner_of(shipped, "bsvm", 32, 3, "cifar-10", xi=0.0)
    whole.finish()
    seen = []
    monkeypatch.setattr("data.prepared.store.VALUES", 3 * 32 * 32 * 3)
    encode = learner.model.encode
    monkeypatch.setattr(learner.model, "encode", lambda images: seen.append(len(images)) or encode(images))
    learner.finish()
    assert seen == [3, 1]
    torch.testing.assert_close(learner.model.label_model.beta, whole.model.label_model.beta, rtol=1e-3, atol=1e-4)
