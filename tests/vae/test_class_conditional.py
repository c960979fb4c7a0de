"""M2: its bound against a sum over the labels, one decoder pass for each."""

import math

import pytest
import torch
from torch.distributions import Categorical, Normal, kl_divergence

from tests.vae.conftest import ONE_POOLING, TWO_POOLINGS, build
from vae.class_conditional import ClassConditional
from vae.model import Batch, Labelled
from vae.objective import gaussian_log_likelihood
from vae.pooling import Switches

CLASSES = 3


@pytest.fixture
def model():
    made = build(ONE_POOLING, "exact", "factorised", kind=ClassConditional)
    torch.nn.init.normal_(made.places)
    return made


@pytest.fixture
def images():
    torch.manual_seed(1)
    return torch.rand(6, 1, 4, 4)


def conditional_bounds(model, images, noise):
    """log q(y|X) and L(X, y), each [C, B], the reference's eq. (6): s from q(s|X,y), the decoder run on s + e_y."""
    encoding = model.encode(images)
    sigma = encoding.log_sigma.exp()
    switches = {i: Switches(p.probabilities, drawn=False) for i, p in encoding.posteriors.items()}
    kl_switches = sum(p.kl for p in encoding.posteriors.values())
    scores = model.label_model.beta @ encoding.mean.flatten(0, 1) + model.label_model.intercept
    bounds = []
    for place in model.places:
        posterior = Normal(encoding.mean - place[..., None], sigma)
        code = posterior.mean + sigma * noise
        error = model.decoder(code + place[..., None], switches).squared_error(images)
        likelihood = gaussian_log_likelihood(error, model.decoder.log_alpha, 16)
        kl = kl_divergence(posterior, Normal(0.0, 1.0)).sum((0, 1))
        bounds.append(likelihood - kl - kl_switches + math.log(1 / CLASSES))
    return Categorical(logits=scores.T).logits.T, torch.stack(bounds)


def test_the_bound_without_a_label_is_the_sum_over_the_labels(model, images, fixed_noise):
    noise = fixed_noise(model.encode(images)) - model.encode(images).mean
    log_q, bounds = conditional_bounds(model, images, noise / model.encode(images).log_sigma.exp())
    q = log_q.exp()
    expected = (q * bounds).sum(0) + Categorical(q.T).entropy()  # the reference's eq. (7)
    torch.testing.assert_close(model.bound(images).elbo, expected)


def test_a_known_label_is_not_summed_over(model, images, fixed_noise):
    noise = (fixed_noise(model.encode(images)) - model.encode(images).mean) / model.encode(images).log_sigma.exp()
    log_q, bounds = conditional_bounds(model, images, noise)
    unknown = (log_q.exp() * (bounds - log_q)).sum(0)
    labels = torch.tensor([2, -1, 0, -1, 1, 1])
    known = bounds.gather(0, labels.clamp(min=0)[None])[0]
    expected = torch.where(labels >= 0, known, unknown).mean()
    _, parts = model.loss(Batch(images, labels=labels))
    torch.testing.assert_close(parts["elbo"], expected)


def test_the_classifier_is_learned_from_the_mean_code(model, images):
    labels = torch.tensor([2, 0, 0, 1, 1, 1])
    _, parts = model.loss(Batch(images, Labelled(images, labels, total=6, weight=1.0)))
    scores = model.label_model.scores(model.encode(images).mean).T
    expected = -torch.nn.functional.cross_entropy(scores, labels) + model.label_model.log_prior() / 6
    torch.testing.assert_close(parts["label_term"], expected)


def test_the_places_of_the_classes_learn_from_images_without_labels(model, images):
    model.loss(Batch(images))[0].backward()
    assert model.places.grad.abs().sum(1).gt(0).all()


def test_samples_come_class_after_class():
    """With places far apart and no other spread in the code, samples of a class are images of its place."""
    model = build(TWO_POOLINGS, "exact", "factorised", kind=ClassConditional)
    torch.nn.init.normal_(model.places, std=1e4)
    torch.manual_seed(0)
    code = model._prior_code(7)
    nearest = (code[None] - model.places[..., None]).square().sum((1, 2)).argmin(0)
    assert nearest.tolist() == [0, 1, 2, 0, 1, 2, 0]
