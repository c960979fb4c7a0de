"""Models small enough to enumerate."""

import itertools

import pytest
import torch

from vae.architecture import Architecture, Layer
from vae.blocks import real_positions
from vae.decoder import Decoder
from vae.encoder import Encoder
from vae.estimators.contract import LABELS, MISSING, estimator_named, sources_of
from vae.labels import Softmax
from vae.model import VariationalAutoencoder

# 4 → 3 → 2 (short blocks: 4, 2, 2 and 1 real positions) → 1
ONE_POOLING = Architecture("one pooling", 4, 1, (Layer(1, 2, 2), Layer(2, 2)))
# 5 → 4 → 2 → 2 → 1 → 1
TWO_POOLINGS = Architecture("two poolings", 5, 1, (Layer(1, 2, 2), Layer(1, 1, 2), Layer(1, 1)))


def build(architecture, estimator, reading, activation="relu", kind=VariationalAutoencoder, log_alpha=-2.0):
    """Builds a tiny model whose switches matter: its weights are larger than initial ones.

    It learns from images and labels, known and missing ones.
    """
    torch.manual_seed(7)
    maps, side, _ = architecture.code_shape
    model = kind(
        architecture,
        Encoder(architecture, activation, switch_hidden=3, code_hidden=2),
        Decoder(architecture, log_alpha),
        Softmax(maps * side * side, 3, precision=1.0),
        estimator_named(estimator)(architecture, sources_of(reading, (LABELS, MISSING))),
        reading,
    )
    for parameter in (*model.decoder.dictionaries, model.label_model.beta):
        torch.nn.init.normal_(parameter)
    return model


def all_switches(architecture):
    """Returns every joint setting of all switches: by layer, one-hot weights [p², K, n², combinations]."""
    blocks = []  # (layer, element, block, real positions)
    for index, (layer, sizes) in enumerate(zip(architecture.layers, architecture.sizes, strict=True)):
        if layer.pooling > 1:
            real = real_positions(sizes.conv, layer.pooling, sizes.pooled)
            for element, block in itertools.product(range(layer.dictionary_size), range(sizes.pooled**2)):
                positions = range(layer.pooling**2)
                allowed = [p for p in positions if real is None or real[p, 0, block, 0]]
                blocks.append((index, element, block, allowed))
    choices = list(itertools.product(*(allowed for *_, allowed in blocks)))
    weights = {}
    for index in {layer for layer, *_ in blocks}:
        layer, sizes = architecture.layers[index], architecture.sizes[index]
        weights[index] = torch.zeros(layer.pooling**2, layer.dictionary_size, sizes.pooled**2, len(choices))
    for combination, chosen in enumerate(choices):
        for (index, element, block, _), position in zip(blocks, chosen, strict=True):
            weights[index][position, element, block, combination] = 1.0
    return weights


@pytest.fixture
def fixed_noise(monkeypatch):
    """Draws every code with the same ε, so that only the switches are left to average over."""

    def sample(encoding, times=1):
        noise = torch.linspace(-1.2, 0.9, encoding.mean.shape[0] * encoding.mean.shape[1])
        return encoding.mean + encoding.log_sigma.exp() * noise.view(*encoding.mean.shape[:2], 1)

    monkeypatch.setattr("vae.encoder.Encoding.sample", sample)
    return sample
