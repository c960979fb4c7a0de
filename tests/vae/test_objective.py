"""The bound's terms against quadrature and PyTorch's distributions."""

import math

import numpy as np
import pytest
import torch
from scipy import integrate, stats

from vae.objective import Bound, gaussian_log_likelihood, kl_code, xi_as_number


@pytest.mark.parametrize(("mean", "sigma"), [(0.0, 1.0), (0.7, 0.3), (-1.4, 2.1)])
def test_eq_6_against_quadrature(mean, sigma):
    q, p = stats.norm(mean, sigma), stats.norm()
    kl, _ = integrate.quad(lambda s: q.pdf(s) * (q.logpdf(s) - p.logpdf(s)), mean - 12 * sigma, mean + 12 * sigma)
    found = kl_code(torch.full((1, 1, 1), mean), torch.full((1, 1, 1), math.log(sigma)))
    assert float(found) == pytest.approx(kl, rel=1e-5, abs=1e-7)


def test_kl_adds_over_a_code():
    torch.manual_seed(0)
    mean, log_sigma = torch.randn(4, 3, 2), torch.randn(4, 3, 2)
    normal = torch.distributions.Normal
    each = torch.distributions.kl_divergence(normal(mean, log_sigma.exp()), normal(0.0, 1.0))
    torch.testing.assert_close(kl_code(mean, log_sigma), each.sum((0, 1)))


def test_gaussian_log_likelihood():
    rng = np.random.default_rng(0)
    image, mean, alpha = rng.normal(size=20), rng.normal(size=20), 7.0
    expected = stats.norm(mean, alpha**-0.5).logpdf(image).sum()
    error = torch.tensor(((image - mean) ** 2).sum())
    assert float(gaussian_log_likelihood(error, torch.tensor(math.log(alpha)), 20)) == pytest.approx(expected)


def test_elbo_is_the_sum_of_its_terms():
    bound = Bound(torch.tensor([5.0]), torch.tensor([1.5]), torch.tensor([0.25]))
    assert bound.elbo.tolist() == [3.25]


def test_automatic_xi():
    assert xi_as_number("auto", values=784, outcomes=10, proportion=0.01) == pytest.approx(7840)
    assert xi_as_number(3, values=784, outcomes=10, proportion=0.01) == 3.0
