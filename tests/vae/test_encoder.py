"""The encoder against a plain implementation with PyTorch's own layers."""

import math

import pytest
import torch
from torch.nn import functional

from vae.architecture import Architecture, Layer
from vae.encoder import Encoder

# 12 → 10 → 4 (short blocks) → 3 → 2 (short) → 1: two poolings, codes of one value a map
ARCHITECTURE = Architecture("small", 12, 2, (Layer(3, 3, 3), Layer(4, 2, 2), Layer(5, 2)))


def reference(encoder, images):
    """q(s | X) by conv2d, an explicit softmax with −∞ at padded positions, and a loop over the K networks."""
    maps = images
    for index, (layer, sizes) in enumerate(zip(ARCHITECTURE.layers, ARCHITECTURE.sizes, strict=True)):
        maps = functional.conv2d(maps, encoder.filters[index])
        if layer.pooling == 1:
            continue
        p, n = layer.pooling, sizes.pooled
        missing = p * n - sizes.conv
        blocks = functional.pad(maps, (0, missing, 0, missing), value=math.nan)
        blocks = blocks.unflatten(3, (n, p)).unflatten(2, (n, p)).transpose(3, 4).flatten(4)  # b, k, n, n, p²
        real = ~blocks.isnan()
        values = blocks.nan_to_num(0.0)
        network = encoder.switch_networks[str(index)]
        hidden = torch.tanh(values @ network.hidden_weight.T + network.hidden_bias[:, 0])
        logits = hidden @ network.weight.T + network.bias[:, 0]
        eta = logits.masked_fill(~real, -math.inf).softmax(-1)
        maps = (eta * values).sum(-1)
        maps = torch.relu(maps) if encoder.activation is torch.relu else maps
    tops = maps.flatten(2)  # b, k, m
    networks = encoder.map_networks
    means, sigmas = [], []
    for k in range(tops.shape[1]):
        h = torch.tanh(tops[:, k] @ networks.weight[k].T + networks.bias[k, :, 0])
        means.append(h @ networks.mean_weight[k].T + networks.mean_bias[k, :, 0])
        sigmas.append(h @ networks.sigma_weight[k].T + networks.sigma_bias[k, :, 0])
    return torch.stack(means).transpose(1, 2), torch.stack(sigmas).transpose(1, 2)


@pytest.mark.parametrize("activation", ["relu", "none"])
def test_code_posterior(activation):
    torch.manual_seed(0)
    encoder = Encoder(ARCHITECTURE, activation, switch_hidden=6, code_hidden=3)
    torch.nn.init.normal_(encoder.map_networks.sigma_weight)
    images = torch.rand(4, 2, 12, 12)
    encoding = encoder(images)
    mean, log_sigma = reference(encoder, images)
    assert encoding.mean.shape == (5, 1, 4)
    torch.testing.assert_close(encoding.mean, mean, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(encoding.log_sigma, log_sigma, rtol=1e-4, atol=1e-5)


def test_gradients_reach_the_image_filters_as_in_the_plain_implementation():
    torch.manual_seed(0)
    encoder = Encoder(ARCHITECTURE, "relu", switch_hidden=6, code_hidden=3)
    images = torch.rand(4, 2, 12, 12)
    parameters = [encoder.filters[0], encoder.filters[1], encoder.switch_networks["0"].hidden_weight]
    found = torch.autograd.grad(encoder(images).mean.square().sum(), parameters)
    expected = torch.autograd.grad(reference(encoder, images)[0].square().sum(), parameters)
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_prior_standard_deviation_at_the_start():
    encoder = Encoder(ARCHITECTURE, "relu", switch_hidden=6, code_hidden=3)
    assert (encoder(torch.rand(2, 2, 12, 12)).log_sigma == 0).all()
