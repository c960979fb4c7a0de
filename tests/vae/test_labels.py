"""The Bayesian SVM's identities by quadrature and autograd; both label models against plain definitions."""

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from vae.labels import BayesianSVM, Softmax


@pytest.mark.parametrize("gamma", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("u", [-1.3, 0.2, 0.99, 1.6])
def test_eq_15_the_integral_over_lambda_is_the_hinge(u, gamma):
    def density(root):  # λ = root²: takes the 1/√λ singularity away
        lam = root * root
        return 2 * np.sqrt(gamma / (2 * np.pi)) * np.exp(-gamma * (1 + lam - u) ** 2 / (2 * lam)) if root else 0.0

    integral, _ = integrate.quad(density, 0, np.inf, limit=200)
    model = BayesianSVM(1, 1, precision=0.0, gamma=gamma)
    model.beta.data.fill_(u)
    hinge = model.log_likelihood(torch.ones(1, 1, 1), torch.zeros(1, dtype=torch.long))
    assert integral == pytest.approx(hinge.exp().item(), rel=1e-5)


@pytest.mark.parametrize("u", [-1.3, 0.2, 1.6])
def test_eq_24_the_mean_of_inverse_lambda(u):
    """E[λ⁻¹] under the density that eq (15) integrates, normalised, is |1 − u|⁻¹; so is the mean of the
    inverse Gaussian of eq (23)."""

    def weight(lam, power):
        return lam ** (-0.5 - power) * np.exp(-((1 + lam - u) ** 2) / (2 * lam))

    upper = [integrate.quad(weight, 0, np.inf, args=(power,), limit=400)[0] for power in (1, 0)]
    assert upper[0] / upper[1] == pytest.approx(1 / abs(1 - u), rel=1e-5)
    mean = 1 / abs(1 - u)
    assert stats.invgauss(mean, scale=1).mean() == pytest.approx(mean)


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_the_augmented_form_has_the_hinges_gradient(gamma):
    """Eq (22) with E[λ⁻¹] put in at the current β and s. The square expands to (1 − u)²/λ + 2(1 − u) + λ, so
    the expectation is linear in λ⁻¹."""
    torch.manual_seed(0)
    model = BayesianSVM(6, 4, precision=0.0, gamma=gamma).double()
    torch.nn.init.normal_(model.beta)
    code = torch.randn(3, 2, 5, dtype=torch.double, requires_grad=True)
    labels = torch.tensor([0, 3, 1, 1, 2])
    hinge = torch.autograd.grad(model.log_likelihood(code, labels).sum(), [code, model.beta])
    signs = torch.where(torch.arange(4)[:, None] == labels, 1.0, -1.0)
    margin = 1 - signs * model.scores(code)
    inverse = 1 / margin.detach().abs()
    augmented = -gamma / 2 * (inverse * margin.square() + 2 * margin)
    for found, expected in zip(torch.autograd.grad(augmented.sum(), [code, model.beta]), hinge, strict=True):
        torch.testing.assert_close(found, expected)


def test_pseudo_likelihoods_normalised_over_the_labels():
    torch.manual_seed(1)
    model = BayesianSVM(6, 4, precision=0.0, gamma=0.7)
    torch.nn.init.normal_(model.beta)
    code = torch.randn(3, 2, 5)
    each = torch.stack([model.log_likelihood(code, torch.full((5,), label)) for label in range(4)])
    torch.testing.assert_close(model.probabilities(code), each.softmax(0))


def test_a_hundred_classes_are_ranked_as_their_scores_are():
    """Nearly all their probabilities are zero in single precision, and their likelihoods large sums that differ little.

    The likelihood of a label rises with its score, at every score, so the scores give the ranks.
    """
    torch.manual_seed(0)
    model = BayesianSVM(20, 100, precision=0.0, gamma=6.8)
    torch.nn.init.normal_(model.beta, std=3.0)
    code = torch.randn(20, 1, 2000)
    found = model.log_probabilities(code)
    assert (found.exp() == 0).float().mean() > 0.9
    scores = model.beta.double() @ code[:, 0].double()
    assert torch.equal(found.topk(5, dim=0).indices, scores.topk(5, dim=0).indices)
    torch.testing.assert_close(found.double().exp().sum(0), torch.ones(2000, dtype=torch.double))


def test_softmax_is_a_categorical_likelihood():
    torch.manual_seed(2)
    model = Softmax(6, 4, precision=0.0)
    torch.nn.init.normal_(model.beta)
    torch.nn.init.normal_(model.intercept)
    code, labels = torch.randn(3, 2, 5), torch.tensor([0, 3, 1, 1, 2])
    scores = code.flatten(0, 1).T @ model.beta.T + model.intercept.T
    expected = torch.distributions.Categorical(logits=scores)
    torch.testing.assert_close(model.log_likelihood(code, labels), expected.log_prob(labels))
    torch.testing.assert_close(model.probabilities(code).T, expected.probs)


def test_prior_is_gaussian_up_to_a_constant():
    model = Softmax(6, 4, precision=2.5)
    torch.nn.init.normal_(model.beta)
    normal = torch.distributions.Normal(0.0, 2.5**-0.5)
    difference = normal.log_prob(model.beta).sum() - normal.log_prob(torch.zeros(4, 6)).sum()
    torch.testing.assert_close(model.log_prior(), difference, rtol=1e-4, atol=1e-4)
