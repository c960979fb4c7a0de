"""What the captioning systems share: the settings of captions, and how a learner says one for an image."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

import torch
from pydantic import BaseModel, Field
from torch import Tensor

from experiments.learning.caption_batches import Captions
from vae.caption_model import CaptionModel
from vae.caption_search import GeneratedCaptions, generate_captions, log_likelihood, most_probable, word_by_word

SCORES = 2**25  # scores of words, at most, that are in memory at a time


class CaptionSettings(BaseModel):
    """Section `captions` of params.yaml: the recurrent network, and how captions are said."""

    cell: Literal["gru", "lstm", "plain"] = Field(description="of the recurrent network")
    units: int = Field(ge=1, le=65_536, description="in its state")
    word_size: int = Field(ge=1, le=65_536, description="values in a word's vector; those of given vectors go first")
    caption_dropout: float = Field(
        ge=0, lt=1, description="share of values of word vectors and states left out in training"
    )
    caption_learning_rate: float = Field(gt=0, le=1, description="of the recurrent network, at its highest")
    caption_draws: int = Field(ge=0, description="N_s, codes averaged over at every word; 0 takes the mean code")
    decoding: Literal["beam", "greedy", "sample"] = Field(description="how captions of test images are said")
    beams: int = Field(ge=1, le=1_000, description="unfinished captions that a beam search keeps")
    length_power: float = Field(ge=0, le=5, description="of a caption's length, by which its log-likelihood is divided")
    longest: int = Field(ge=1, le=1_000, description="words of a caption that is said, at most")

    def caption_model(self, code_size: int, captions: Captions) -> CaptionModel:
        """A caption model of the dataset's vocabulary, its word vectors the given ones where there are any."""
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

    def said(self, model: CaptionModel, codes: Tensor) -> GeneratedCaptions:
        """Captions for images whose codes are [N_s, K_L, m, B], by the settings' way of saying them."""
        options = {"beams": self.beams, "power": self.length_power, "longest": self.longest}
        return generate_captions(model, codes, decoding=self.decoding, **options)


class Describer(ABC):
    """What a learner that captions images does beside learning."""

    captions: Captions

    @abstractmethod
    def describe(self, images: Tensor, quick: bool = False) -> GeneratedCaptions:
        """A caption for each of images [b, N_c, H, W]; the same digits at every call. `quick` ones are for following
        the training: greedy, of the mean code."""

    def log_likelihoods(self, images: Tensor, captions: Tensor, owner: Tensor, quick: bool = False) -> Tensor | None:
        """log p(Y | X), [n] in nats, of captions [n, L], each of the image that `owner` [n] says; None where what says
        them has no likelihood."""
        return None


class RecurrentDescriber(Describer):
    """A learner whose captions a `CaptionModel` says, from codes of an image."""

    settings: CaptionSettings

    @property
    @abstractmethod
    def caption_model(self) -> CaptionModel: ...

    @abstractmethod
    def codes(self, images: Tensor, draws: int) -> Tensor:
        """Codes of the images, [max(draws, 1), K_L, m, B]; the same digits at every call."""

    @torch.no_grad()
    def describe(self, images: Tensor, quick: bool = False) -> GeneratedCaptions:
        model, settings = self.caption_model.eval(), self.settings
        codes = self.codes(images, 0 if quick else settings.caption_draws)
        if quick:
            return word_by_word(model, codes, choose=most_probable, longest=settings.longest)
        parts = [settings.said(model, part) for part in self._in_memory(codes, settings.beams)]
        return GeneratedCaptions(
            torch.cat([part.words for part in parts]), torch.cat([part.log_likelihood for part in parts])
        )

    @torch.no_grad()
    def log_likelihoods(self, images: Tensor, captions: Tensor, owner: Tensor, quick: bool = False) -> Tensor:
        model = self.caption_model.eval()
        codes = self.codes(images, 0 if quick else self.settings.caption_draws)[..., owner]
        parts = self._in_memory(codes, captions.shape[1])
        sizes = [part.shape[-1] for part in parts]
        return torch.cat([log_likelihood(model, *pair) for pair in zip(parts, captions.split(sizes), strict=True)])

    def _in_memory(self, codes: Tensor, each: int) -> tuple[Tensor, ...]:
        """The codes in parts for which `each` · N_s times a vocabulary's scores fit the memory."""
        return codes.split(max(1, SCORES // (len(codes) * each * len(self.caption_model.words))), dim=-1)
