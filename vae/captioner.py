"""A trained model that captions pictures, rebuilt from a description of plain values and its weights."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from vae.architecture import Architecture, Layer
from vae.caption_model import CaptionModel
from vae.caption_search import generate_captions
from vae.decoder import Decoder
from vae.encoder import Encoder
from vae.estimators.contract import estimator_named
from vae.model import VariationalAutoencoder
from vae.prediction import codes


class Captioner:
    """Captions images with a trained autoencoder and its caption model.

    Args:
        description: of the autoencoder, `architecture` (the fields of `Architecture`), `activation`,
            `switch_hidden`, `code_hidden`, `reading` and `estimator`; of the caption model, `cell`, `units`,
            `word_size` and `words` (the vocabulary, in order); for the search, `decoding`, `draws`, `beams`,
            `length_power` and `longest`.
        weights: the whole model's parameters by name.

    Raises:
        KeyError, TypeError, ValueError: the description is incomplete or wrong.
        RuntimeError: the weights belong to another model.
    """

    def __init__(self, description: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
        self.search_options = {name: description[name] for name in ("decoding", "beams", "longest")}
        self.search_options["power"], self.draws = description["length_power"], description["draws"]
        self.words: list[str] = description["words"]
        self.architecture = _architecture(description["architecture"])
        self.caption_model = CaptionModel(
            math.prod(self.architecture.code_shape),
            len(self.words),
            **{name: description[name] for name in ("cell", "units", "word_size")},
        )
        self.model = self._autoencoder(description)
        # What an estimator learned serves training alone, so the one here is made for no learning signal.
        self.model.load_state_dict({n: value for n, value in weights.items() if not n.startswith("estimator.")})
        self.model.eval()

    def _autoencoder(self, description: Mapping[str, Any]) -> VariationalAutoencoder:
        architecture = self.architecture
        sizes = (description[name] for name in ("activation", "switch_hidden", "code_hidden"))
        estimator = estimator_named(description["estimator"])(architecture, sources=())
        return VariationalAutoencoder(
            architecture,
            Encoder(architecture, *sizes),
            Decoder(architecture, log_alpha=0.0),
            self.caption_model,
            estimator,
            description["reading"],
        )

    def caption(self, image: Tensor) -> tuple[str, float, int]:
        """Captions one image [N_c, H, W] in [0, 1], drawing from PyTorch's current random stream.

        Returns:
            The text, its log-likelihood log p(Y | X) in nats, and the number of its words with the end counted.
        """
        with torch.no_grad():
            samples = torch.stack(list(codes(self.model, image[None], self.draws)))
        captions = generate_captions(self.caption_model, samples, **self.search_options)
        assert captions.log_likelihood is not None  # a caption model's captions always have one
        return self._text(captions.words[0]), float(captions.log_likelihood[0]), int(captions.lengths[0])

    def _text(self, numbers: Tensor) -> str:
        """Joins the words of one caption, without its end."""
        return " ".join(self.words[number] for number in numbers.tolist() if number > 0)


def _architecture(fields: Mapping[str, Any]) -> Architecture:
    layers = tuple(Layer(**layer) for layer in fields["layers"])
    return Architecture(fields["name"], fields["side"], fields["channels"], layers)
