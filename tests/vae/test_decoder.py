"""The decoder against conv_transpose2d, and the closed-form spread against enumeration."""

import torch
from torch.nn import functional

from tests.vae.conftest import ONE_POOLING, TWO_POOLINGS, all_switches, build
from vae.architecture import Architecture, Layer
from vae.decoder import Decoder, _ExpectedUnpooling
from vae.pooling import Switches, draw_positions, uniform_switches

ARCHITECTURE = Architecture("small", 12, 2, (Layer(3, 3, 3), Layer(4, 2, 2), Layer(5, 2)))


def test_unpooling_and_full_convolution():
    torch.manual_seed(0)
    decoder = Decoder(ARCHITECTURE, log_alpha=0.0)
    code, switches = torch.randn(5, 1, 6), decoder.prior_switches(6)
    found = decoder(code, switches).mean.permute(3, 0, 1, 2)
    maps = code.permute(2, 0, 1).unflatten(2, (1, 1))
    for index in (2, 1, 0):
        layer, sizes = ARCHITECTURE.layers[index], ARCHITECTURE.sizes[index]
        if layer.pooling > 1:
            p, n = layer.pooling, sizes.pooled
            weights = switches[index].weights.view(p, p, layer.dictionary_size, n, n, 6)
            up = torch.einsum("pqkijb,bkij->bkipjq", weights, maps).reshape(6, -1, p * n, p * n)
            maps = up[:, :, : sizes.conv, : sizes.conv]
        maps = functional.conv_transpose2d(maps, decoder.dictionaries[index])
    torch.testing.assert_close(found, maps, rtol=1e-4, atol=1e-4)


def expected_error(model, images, code):
    """Σ_z q(z) ‖X − X̂(z)‖² of one image [1, …] and its code by full enumeration."""
    posteriors = model.encoder(images).posteriors
    weights = all_switches(model.architecture)
    combinations = weights[0].shape[-1]
    given, mass = {}, torch.ones(combinations)
    for layer, weight in weights.items():
        chosen = (posteriors[layer].probabilities * weight).sum(0)
        mass = mass * chosen.flatten(0, 1).prod(0)
        given[layer] = Switches(weight, drawn=True)
    error = model.decoder(code.expand(-1, -1, combinations), given).squared_error(images)
    return (mass * error).sum()


def test_spread_makes_the_expected_error_exact():
    model = build(ONE_POOLING, "exact", "factorised")
    images, code = torch.rand(1, 1, 4, 4), torch.randn(2, 1, 1)
    posterior = model.encoder(images).posteriors[0]
    found = model.decoder(code, {0: Switches(posterior.probabilities, drawn=False)}).squared_error(images)[0]
    torch.testing.assert_close(found, expected_error(model, images, code), rtol=1e-4, atol=1e-5)


def test_spread_with_drawn_switches_above():
    """Averaged over the upper layer's settings, by hand, the bottom's closed form gives the joint expectation."""
    model = build(TWO_POOLINGS, "exact", "factorised")
    images, code = torch.rand(1, 1, 5, 5), torch.randn(1, 1, 1)
    posteriors = model.encoder(images).posteriors
    total = 0.0
    for position in range(4):
        upper = torch.zeros(4, 1, 1, 1)
        upper[position] = 1.0
        switches = {0: Switches(posteriors[0].probabilities, drawn=False), 1: Switches(upper, drawn=True)}
        error = model.decoder(code, switches).squared_error(images)[0]
        total = total + posteriors[1].probabilities[position, 0, 0, 0] * error
    torch.testing.assert_close(total, expected_error(model, images, code), rtol=1e-4, atol=1e-5)


def test_expected_unpooling_gradients(monkeypatch):
    monkeypatch.setattr("vae.blocks._SLICE_VALUES", 1)  # an element at a time
    torch.manual_seed(0)
    shifted = torch.randn(2, 4, 5, dtype=torch.double, requires_grad=True)
    eta = torch.rand(4, 2, 3, 2, dtype=torch.double, requires_grad=True)
    values = torch.randn(2, 3, 2, dtype=torch.double, requires_grad=True)

    assert torch.autograd.gradcheck(_ExpectedUnpooling.apply, (eta, values, shifted))


def test_prior_switches_are_uniform_and_never_padded():
    torch.manual_seed(0)
    decoder = Decoder(ONE_POOLING, log_alpha=0.0)
    weights = decoder.prior_switches(4000)[0].weights
    prior = uniform_switches(3, 2, 2)
    assert (weights[(prior == 0).expand_as(weights)] == 0).all()
    torch.testing.assert_close(weights.mean(3, keepdim=True), prior.expand(4, 1, 4, 1), atol=0.04, rtol=0)
    assert (draw_positions(prior.expand(4, 1, 4, 2)).sum(0) == 1).all()
