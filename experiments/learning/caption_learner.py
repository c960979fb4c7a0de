"""What the captioning systems share: their settings, and how a learner captions an image.

A caption model is a recurrent network that gives the words of a caption their probabilities, from a code of the image.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from experiments.learning.caption_batches import Captions
from vae.caption_model import CaptionModel
from vae.caption_search import GeneratedCaptions, generate_captions, log_likelihood, most_probable, word_by_word

SCORES = 2**25  # scores of words, at most, that are in memory at a time (float32)


class CaptionSettings(BaseModel):
    """Section `captions` of params.yaml: the recurrent network, and how captions are found."""

    cell: Literal["gru", "lstm", "plain"] = Field(description="of the recurrent network")
    units: int = Field(ge=1, le=8_192, description="in its state")
    word_size: int = Field(ge=1, le=8_192, description="values in a word's vector; those of given vectors go first")
    caption_dropout: float = Field(
        ge=0, lt=1, description="share of values of word vectors and states left out in training"
    )
    caption_learning_rate: float = Field(gt=0, le=1, description="of the recurrent network, at its highest")
    caption_draws: int = Field(
        ge=0, le=1_000, description="N_s, codes averaged over at every word; 0 takes the mean code"
    )
    decoding: Literal["beam", "greedy", "sample"] = Field(description="how captions of test images are found")
    beams: int = Field(ge=1, le=1_000, description="unfinished captions that a beam search keeps")
    length_power: float = Field(ge=0, le=5, description="of a caption's length, by which its log-likelihood is divided")
    longest: int = Field(ge=1, le=1_000, description="words of a caption, at most")

    def caption_model(self, code_size: int, captions: Captions) -> CaptionModel:
        """Returns a caption model of the dataset's vocabulary, with the dataset's word vectors where it has any."""
        vectors = captions.vectors
        return CaptionModel(
            code_size,
            len(captions.vocabulary.words),
            cell=self.cell,
            units=self.units,
            word_size=self.word_size if vectors is None else vectors.values.shape[1],
            dropout=self.caption_dropout,
            vectors=None if vectors is None else torch.from_numpy(vectors.values),
            known=None if vectors is None else torch.from_numpy(vectors.known),
        )

    def generate(self, model: CaptionModel, codes: Tensor) -> GeneratedCaptions:
        """Returns captions of B images with codes [N_s, K_L, m, B], decoded as the settings say."""
        return generate_captions(
            model, codes, decoding=self.decoding, beams=self.beams, power=self.length_power, longest=self.longest
        )


class Describer(ABC):
    """What every learner that captions images has beside its training."""

    captions: Captions

    @abstractmethod
    def describe(self, images: Tensor, quick: bool = False) -> GeneratedCaptions:
        """Returns a caption of each of the images [b, N_c, H, W]; every call gives the same digits.

        `quick` captions follow the training: they are decoded greedily, from the mean code.
        """

    def log_likelihoods(self, images: Tensor, captions: Tensor, owner: Tensor, quick: bool = False) -> Tensor | None:
        """Returns log p(Y | X) of captions, [n] in nats; None for a learner without a model of captions.

        Args:
            images: [b, N_c, H, W].
            captions: numbers of words, [n, L], padded.
            owner: the row of each caption's image in `images`, [n].
            quick: whether only the mean code is used.
        """
        return None


class RecurrentDescriber(Describer):
    """A learner whose captions come from a `CaptionModel`, which reads codes of an image."""

    @property
    @abstractmethod
    def caption_settings(self) -> CaptionSettings:
        """The settings of captions."""

    @property
    @abstractmethod
    def caption_model(self) -> CaptionModel:
        """The caption model."""

    @abstractmethod
    def codes(self, images: Tensor, draws: int) -> Tensor:
        """Returns codes of B images, [max(draws, 1), K_L, m, B]; every call gives the same digits."""

    @torch.no_grad()
    def describe(self, images: Tensor, quick: bool = False) -> GeneratedCaptions:
        model, settings = self.caption_model.eval(), self.caption_settings
        codes = self.codes(images, 0 if quick else settings.caption_draws)
        if quick:
            return word_by_word(model, codes, choose=most_probable, longest=settings.longest)
        parts = [settings.generate(model, part) for part in self._in_memory(codes, settings.beams)]
        likelihoods = [part.log_likelihood for part in parts if part.log_likelihood is not None]  # all parts have one
        return GeneratedCaptions(torch.cat([part.words for part in parts]), torch.cat(likelihoods))

    @torch.no_grad()
    def log_likelihoods(self, images: Tensor, captions: Tensor, owner: Tensor, quick: bool = False) -> Tensor:
        model = self.caption_model.eval()
        codes = self.codes(images, 0 if quick else self.caption_settings.caption_draws)[..., owner]
        parts = self._in_memory(codes, captions.shape[1])
        sizes = [part.shape[-1] for part in parts]
        return torch.cat([log_likelihood(model, *pair) for pair in zip(parts, captions.split(sizes), strict=True)])

    def _in_memory(self, codes: Tensor, each: int) -> tuple[Tensor, ...]:
        """Splits the codes so that for each part `each` · N_s scores of every word and image are within SCORES."""
        return codes.split(max(1, SCORES // (len(codes) * each * len(self.caption_model.words))), dim=-1)
