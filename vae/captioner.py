"""A trained model that captions pictures, from a description of plain values and its weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vae.architecture import Architecture, Layer
from vae.caption_model import CaptionModel
from vae.caption_search import Said, say
from vae.decoder import Decoder
from vae.encoder import Encoder
from vae.estimators.contract import estimator_named
from vae.model import VariationalAutoencoder
from vae.prediction import codes


class Captioner:
    """Says captions of images.

    Args:
        description: `architecture` (the fields of `Architecture`), `activation`, `switch_hidden`, `code_hidden`,
            `reading` and `estimator` of the autoencoder; `cell`, `units`, `word_size` and `words` (the vocabulary, in
            order) of the caption model; `decoding`, `draws`, `beams`, `length_power` and `longest` as its captions are
            to be said.
        weights: of the whole model, by the names of its parameters.

    Raises:
        KeyError, TypeError, ValueError: the description is not whole.
        RuntimeError: the weights are of another model.
    """

    def __init__(self, description: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        self.way = {name: description[name] for name in ("decoding", "beams", "longest")}
        self.way["power"], self.draws = description["length_power"], description["draws"]
        self.words: list[str] = description["words"]
        self.architecture = _architecture(description["architecture"])
        self.model = self._built(description)
        self.model.load_state_dict(weights)
        self.model.eval()

    def _built(self, description: Mapping[str, Any]) -> VariationalAutoencoder:
        architecture = self.architecture
        sizes = (description[name] for name in ("activation", "switch_hidden", "code_hidden"))
        caption_model = CaptionModel(
            math.prod(architecture.code_shape),
            len(self.words),
            **{name: description[name] for name in ("cell", "units", "word_size")},
        )
        estimator = estimator_named(description["estimator"])(architecture.values, architecture.pooling_layers)
        return VariationalAutoencoder(
            architecture,
            Encoder(architecture, *sizes),
            Decoder(architecture, log_alpha=0.0),
            caption_model,
            estimator,
            description["reading"],
        )

    def describe(self, images: Tensor) -> Said:
        """A caption for each of images [B, N_c, H, W] in [0, 1], from PyTorch's current random stream."""
        with torch.no_grad():
            drawn = torch.stack(list(codes(self.model, images, self.draws)))
        return say(self.model.label_model, drawn, **self.way)

    def text(self, numbers: Tensor) -> str:
        """The words of one caption, without its end."""
        return " ".join(self.words[number] for number in numbers.tolist() if number > 0)


def _architecture(fields: Mapping[str, Any]) -> Architecture:
    layers = tuple(Layer(**layer) for layer in fields["layers"])
    return Architecture(fields["name"], fields["side"], fields["channels"], layers)
