"""Stochastic pooling against plain PyTorch, enumeration and sampling frequencies."""

import math

import pytest
import torch

from vae.pooling import SwitchNetwork, draw_positions, draw_switches, uniform_switches


@pytest.fixture
def short_blocks():
    """3 × 3 maps pooled 2 × 2: blocks of 4, 2, 2 and 1 real positions."""
    torch.manual_seed(1)
    return SwitchNetwork(conv=3, pooling=2, count=2, hidden=5), torch.randn(4, 2, 4, 3)


def test_network_is_softmax_of_the_two_layers(short_blocks):
    network, blocks = short_blocks
    torch.nn.init.normal_(network.hidden_bias)
    torch.nn.init.normal_(network.bias)
    prior = uniform_switches(3, 2, 2)
    posterior = network(blocks)
    flat = blocks.masked_fill(prior == 0, 0.0).flatten(1)
    hidden = torch.tanh(network.hidden_weight @ flat + network.hidden_bias)
    logits = (network.weight @ hidden + network.bias).view(blocks.shape)
    expected = logits.masked_fill(prior == 0, -math.inf).softmax(0)
    torch.testing.assert_close(posterior.probabilities, expected, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(posterior.expected, (expected * blocks).sum(0), rtol=1e-4, atol=1e-6)


def test_padded_positions_have_probability_zero_and_are_never_drawn(short_blocks):
    network, blocks = short_blocks
    padded = (uniform_switches(3, 2, 2) == 0).expand(-1, 2, -1, 3)
    posterior = network(50 * blocks)
    assert (posterior.probabilities[padded] == 0).all()
    for _ in range(200):
        drawn = draw_switches(posterior).weights
        assert (drawn[padded] == 0).all()
        assert (drawn.sum(0) == 1).all()


def test_kl_against_the_definition(short_blocks):
    network, blocks = short_blocks
    posterior = network(blocks)
    eta = posterior.probabilities.double()
    prior = uniform_switches(3, 2, 2).double().expand_as(eta)
    terms = torch.where(eta > 0, eta * (eta / prior.clamp(min=1e-300)).log(), 0.0)
    torch.testing.assert_close(posterior.kl.double(), terms.sum((0, 1, 2)), rtol=1e-5, atol=1e-6)
    assert (posterior.kl >= 0).all()


@pytest.mark.parametrize("values", [1, 2**16], ids=["an element at a time", "all at once"])
@pytest.mark.parametrize("conv", [4, 3], ids=["whole blocks", "short blocks"])
def test_gradients(conv, values, monkeypatch):
    monkeypatch.setattr("vae.blocks._SLICE_VALUES", values)
    torch.manual_seed(2)
    network = SwitchNetwork(conv=conv, pooling=2, count=2, hidden=3).double()
    parameters = list(network.parameters())
    blocks = torch.randn(4, 3, 4, 2, dtype=torch.double, requires_grad=True)

    def pooled(blocks, *parameters):
        posterior = network(blocks)
        return posterior.probabilities, posterior.expected, posterior.kl

    assert torch.autograd.gradcheck(pooled, (blocks, *parameters))


def test_draws_follow_their_probabilities():
    torch.manual_seed(3)
    eta = torch.tensor([0.5, 0.0, 0.3, 0.2])
    count = 40_000
    drawn = draw_positions(eta.view(4, 1, 1, 1).expand(4, 1, 1, count))
    frequencies = drawn.mean((1, 2, 3))
    assert frequencies[1] == 0
    assert (frequencies - eta).abs().max() < 4.5 * math.sqrt(0.25 / count)


def test_log_probability_of_a_draw(short_blocks):
    network, blocks = short_blocks
    posterior = network(blocks)
    drawn = draw_switches(posterior)
    chosen = (posterior.probabilities * drawn.weights).sum(0)
    torch.testing.assert_close(drawn.log_probability, chosen.log().sum((0, 1)), rtol=1e-4, atol=1e-5)


def test_prior_is_uniform_over_real_positions():
    prior = uniform_switches(3, 2, 2)[:, 0, :, 0]
    assert sorted((prior > 0).sum(0).tolist()) == [1, 2, 2, 4]
    torch.testing.assert_close(prior.sum(0), torch.ones(4))
