"""The whole model: its bound against importance sampling, its steps, and its largest architecture."""

import itertools
import math

import pytest
import torch

from tests.vae.conftest import ONE_POOLING, all_switches, build
from vae import training
from vae.architecture import TABLE2
from vae.decoder import Decoder
from vae.encoder import Encoder
from vae.estimators.contract import LABELS, estimator_named, sources_of
from vae.labels import BayesianSVM, Softmax
from vae.model import Batch, Labelled, Marginalised, VariationalAutoencoder
from vae.pooling import Switches
from vae.prediction import class_log_probabilities, codes
from vae.training import Trainer, fit_label_model


def table2_model(name, estimator="exact", reading="factorised", classes=10):
    architecture = TABLE2[name]
    torch.manual_seed(0)
    return VariationalAutoencoder(
        architecture,
        Encoder(architecture, "relu", switch_hidden=4, code_hidden=4),
        Decoder(architecture, log_alpha=2.0),
        BayesianSVM(math.prod(architecture.code_shape), classes, precision=1.0, gamma=1.0),
        estimator_named(estimator)(architecture, sources_of(reading, (LABELS,))),
        reading,
    )


def log_evidence(model, image, points=41):
    """log p(X) of one image by enumerating z under its prior and a grid over the two values of the code."""
    weights = all_switches(model.architecture)[0]
    combinations = weights.shape[-1]
    grid = torch.linspace(-5, 5, points)
    codes = torch.cartesian_prod(grid, grid).T[:, None, :]  # 2, 1, points²
    log_prior = torch.distributions.Normal(0.0, 1.0).log_prob(codes).sum((0, 1)) + 2 * (grid[1] - grid[0]).log()
    terms = []
    for c in range(combinations):
        expanded = weights[..., c : c + 1].expand(-1, -1, -1, points**2)
        error = model.decoder(codes, {0: Switches(expanded, drawn=True)}).squared_error(image)
        alpha = model.decoder.log_alpha
        likelihood = 0.5 * (16 * (alpha - math.log(2 * math.pi)) - alpha.exp() * error)
        terms.append(likelihood + log_prior - math.log(combinations))
    return torch.stack(terms).logsumexp((0, 1))


@pytest.mark.parametrize(
    ("estimator", "reading"), [("nvil", "factorised"), ("nvil", "shared"), ("exact", "factorised")]
)
def test_bound_lies_below_the_evidence(estimator, reading):
    """The evidence by enumeration and a grid; the posterior is trained so that the bound comes close to it."""
    model = build(ONE_POOLING, estimator, reading)
    torch.manual_seed(5)
    image = torch.rand(1, 1, 4, 4)
    with torch.no_grad():
        evidence = log_evidence(model, image)
    optimizer = torch.optim.Adam(model.encoder.parameters(), 0.03)
    for _ in range(400):
        optimizer.zero_grad()
        model.loss(Batch(image.expand(64, -1, -1, -1).contiguous()))[0].backward()
        optimizer.step()
    with torch.no_grad():
        bounds = model.bound(image.expand(20_000, -1, -1, -1)).elbo
    error = bounds.std() / len(bounds) ** 0.5
    assert bounds.mean() < evidence + 4 * error
    assert bounds.mean() > evidence - 0.5


@pytest.mark.parametrize(
    ("estimator", "reading"),
    [("exact", "factorised"), *itertools.product(["nvil", "rloo", "gumbel"], ["factorised", "shared"])],
)
@pytest.mark.parametrize("name", ["mnist", "cifar-10"])
def test_a_training_step_lowers_the_loss(name, estimator, reading):
    model = table2_model(name, estimator, reading)
    channels, side = TABLE2[name].channels, TABLE2[name].side
    images = torch.rand(8, channels, side, side)
    labelled = Labelled(images[:4], torch.tensor([0, 1, 2, 3]), total=4, weight=1.0)
    rates = {"learning_rate": 1e-3, "noise_learning_rate": 0.01}
    trainer = Trainer(model, total_steps=30, **rates, warmup=0.1, switch_warmup=0.0, weight_decay=0.0, clip=1e9)
    losses = [float(trainer.step(Batch(images, labelled))["loss"]) for _ in range(30)]
    assert sum(losses[-5:]) < sum(losses[:5])
    assert all(math.isfinite(loss) for loss in losses)


@pytest.mark.slow
@pytest.mark.parametrize("name", list(TABLE2))
def test_every_row_of_table_2_takes_a_step(name):
    model = table2_model(name)
    side, channels = TABLE2[name].side, TABLE2[name].channels
    images = torch.rand(2, channels, side, side)
    model.loss(Batch(images, Labelled(images, torch.tensor([1, 2]), 2, 1.0)))[0].backward()
    gradients = [p.grad for p in (*model.encoder.filters, *model.decoder.dictionaries)]
    assert all(g is not None and g.isfinite().all() and g.abs().sum() > 0 for g in gradients)
    maps, top, _ = TABLE2[name].code_shape
    assert model.encode(images).mean.shape == (maps, top * top, 2)


def test_pictures_have_the_images_shape():
    model = table2_model("mnist")
    images = torch.rand(3, 1, 28, 28)
    assert model.reconstruct(images).shape == images.shape
    assert model.sample(5).shape == (5, 1, 28, 28)


def test_averaged_predictions_against_quadrature():
    """E over q(s|X) of softmax probabilities, by a product Gauss–Hermite rule over the code's two values."""
    model = build(ONE_POOLING, "exact", "factorised")
    torch.manual_seed(3)
    images = torch.rand(1, 1, 4, 4)
    encoding = model.encode(images)
    nodes, weights = (torch.tensor(a) for a in __import__("numpy").polynomial.hermite_e.hermegauss(40))
    mesh = torch.cartesian_prod(nodes, nodes).T.float()
    mass = torch.cartesian_prod(weights, weights).prod(1).float()
    codes = encoding.mean[:, :, 0] + encoding.log_sigma[:, :, 0].exp() * mesh
    expected = (model.label_model.probabilities(codes[:, None, :]) * mass).sum(1) / mass.sum()
    torch.manual_seed(0)
    found = class_log_probabilities(model, images, draws=4000)[0].exp()
    torch.testing.assert_close(found, expected.detach(), atol=0.02, rtol=0)
    at_mean = class_log_probabilities(model, images, draws=0)[0].exp()
    torch.testing.assert_close(at_mean, model.label_model.probabilities(encoding.mean)[:, 0].detach())


def test_averages_whose_probabilities_are_zero_in_single_precision():
    """The mean of the draws' probabilities again, in double precision."""
    model = build(ONE_POOLING, "exact", "factorised")
    torch.manual_seed(5)
    torch.nn.init.normal_(model.label_model.beta, std=300.0)
    images = torch.rand(6, 1, 4, 4)
    torch.manual_seed(0)
    found = class_log_probabilities(model, images, draws=7)
    torch.manual_seed(0)
    each = [model.label_model.log_likelihoods(code).double().log_softmax(0).exp() for code in codes(model, images, 7)]
    assert (found.exp() == 0).any()
    torch.testing.assert_close(found.double(), torch.stack(each).mean(0).log().T, atol=1e-3, rtol=1e-5)


def test_label_model_fits_frozen_codes():
    """ξ = 0: the encoder stays as it was, and the labels are learned from its codes."""
    model = table2_model("mnist")
    model.label_model = Softmax(320, 2, precision=0.1)
    torch.manual_seed(0)
    images = torch.cat([torch.rand(20, 1, 28, 28) * 0.2, 1 - torch.rand(20, 1, 28, 28) * 0.2])
    labels = torch.arange(40) // 20
    before = [p.detach().clone() for p in model.encoder.parameters()]
    fit_label_model(model, lambda: images.split(5), labels, steps=60)
    assert all(torch.equal(a, b) for a, b in zip(before, model.encoder.parameters(), strict=True))
    assert (class_log_probabilities(model, images, draws=20).argmax(1) == labels).all()


def test_many_labelled_images_are_taken_in_batches(monkeypatch):
    model = table2_model("mnist")
    model.label_model = Softmax(320, 2, precision=0.1)
    torch.manual_seed(0)
    images = torch.cat([torch.rand(20, 1, 28, 28) * 0.2, 1 - torch.rand(20, 1, 28, 28) * 0.2])
    labels, seen = torch.arange(40) // 20, []
    real = model.label_model.log_likelihood
    monkeypatch.setattr(training, "FITTED", 16)
    monkeypatch.setattr(
        model.label_model, "log_likelihood", lambda code, of: (seen.append((code.shape[2], len(of))), real(code, of))[1]
    )
    fit_label_model(model, lambda: images.split(5), labels, steps=200)
    assert set(seen) == {(16, 16)}
    assert (class_log_probabilities(model, images, draws=20).argmax(1) == labels).all()


@pytest.mark.parametrize(("estimator", "reading", "times"), [("exact", "factorised", 1), ("rloo", "shared", 10)])
def test_labels_are_fitted_to_codes_of_many_draws_of_the_switches(estimator, reading, times, monkeypatch):
    model = build(ONE_POOLING, estimator, reading)
    images, labels, found = torch.rand(6, 1, 4, 4), torch.arange(6) % 3, []
    real = model.encode
    monkeypatch.setattr(model, "encode", lambda images: (found.append(real(images)), found[-1])[1])
    fit_label_model(model, lambda: [images], labels, steps=30)
    assert len(found) == times
    assert len({tuple(each.mean.flatten().tolist()) for each in found}) == times  # other switches, other codes


def marginalised_part(model, images, labels):
    return model.loss(Batch(images, marginalised=Marginalised(images, images, labels, weight=2.0)))


def test_a_known_label_is_not_marginalised(fixed_noise):
    model = build(ONE_POOLING, "exact", "factorised")
    images = torch.rand(3, 1, 4, 4)
    labels = torch.tensor([2, 0, 1])
    _, parts = marginalised_part(model, images, labels)
    likelihood = model.label_model.log_likelihood(fixed_noise(model.encode(images)), labels)
    torch.testing.assert_close(parts["marginalised_term"], likelihood.mean())


@pytest.mark.parametrize("label_model", ["softmax", "svm"])
def test_the_marginalised_term_bounds_the_marginal_and_touches_it_at_the_posterior(label_model, fixed_noise):
    """log Σ_y p(y) p(y|s) summed over the labels, against the term with the entropy of its guesses."""
    model = build(ONE_POOLING, "exact", "factorised")
    if label_model == "svm":
        model.label_model = BayesianSVM(2, 3, precision=1.0, gamma=0.7)
        torch.nn.init.normal_(model.label_model.beta)
    images = torch.rand(5, 1, 4, 4)
    encoding = model.encode(images)
    guesses = model.label_model.probabilities(encoding.mean)
    prior, entropy = math.log(1 / 3), torch.distributions.Categorical(guesses.T).entropy()
    missing = torch.full((5,), -1)

    def marginal(code):
        each = [model.label_model.log_likelihood(code, torch.full((5,), label)) + prior for label in range(3)]
        return torch.stack(each).logsumexp(0)

    _, parts = marginalised_part(model, images, missing)
    bound = parts["marginalised_term"] + (entropy + prior).mean()
    assert bound < marginal(fixed_noise(encoding)).mean()

    with torch.no_grad():  # no noise: the guesses are the posterior at the code itself
        model.encoder.map_networks.sigma_bias.fill_(-30.0)
    _, parts = marginalised_part(model, images, missing)
    bound = parts["marginalised_term"] + (entropy + prior).mean()
    torch.testing.assert_close(bound, marginal(encoding.mean).mean())


def test_guesses_are_held_fixed(fixed_noise):
    """The term's gradient is that of Σ r log p with r a constant."""
    model = build(ONE_POOLING, "exact", "factorised")
    images = torch.rand(4, 1, 4, 4)
    guesses = model.label_model.probabilities(model.encode(images).mean).detach()
    expected = (guesses * model.label_model.log_likelihoods(fixed_noise(model.encode(images)))).sum(0).mean()
    (expected,) = torch.autograd.grad(expected, model.label_model.beta)
    marginalised_part(model, images, torch.full((4,), -1))[0].backward()
    torch.testing.assert_close(model.label_model.beta.grad, -2.0 * expected)


def test_the_switches_term_comes_in_slowly():
    model = table2_model("mnist")
    rates = {"learning_rate": 1e-3, "noise_learning_rate": 0.01}
    trainer = Trainer(model, total_steps=8, **rates, warmup=0.1, switch_warmup=0.5, weight_decay=0.0, clip=1e9)
    weights = []
    for _ in range(8):
        weights.append(trainer.warmed_up(0.5))
        trainer.step(Batch(torch.rand(2, 1, 28, 28)))
    assert weights == [0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0, 1.0]
    _, parts = model.loss(Batch(torch.rand(2, 1, 28, 28)), switch_weight=0.25)
    torch.testing.assert_close(parts["loss"], -parts["elbo"] - 0.75 * parts["kl_switches"])
