"""Generates captions by beam search, greedy choice or sampling.

The probability of the next word is averaged over codes of the image.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vae.caption_model import END, PADDING, UNKNOWN, CaptionModel

Choice = Callable[[Tensor], Tensor]  # from log-probabilities [B, words] to one word each, [B]


@dataclass(frozen=True)
class GeneratedCaptions:
    """One caption for each of B images.

    Attributes:
        words: [B, L], word numbers; each caption ends with END, followed by PADDING.
        log_likelihood: [B], log p of these words and the end, in nats; None for a system without a likelihood.
        texts: the captions as text where they may hold words outside the vocabulary; else None.
    """

    words: Tensor
    log_likelihood: Tensor | None
    texts: list[str] | None = None

    @property
    def lengths(self) -> Tensor:
        """The number of words of each caption, the end counted, [B]."""
        return (self.words != PADDING).sum(1)


class Predictive:
    """The next word's probability, averaged over codes at every step.

    p̄(y_t | y_{<t}, X) = 1/N_s Σ p(y_t | y_{<t}, s_i). It follows R unfinished captions ("rows") at once.

    Args:
        codes: [N_s, K_L, m, R], N_s codes for each row.
    """

    def __init__(self, model: CaptionModel, codes: Tensor) -> None:
        self.model, self.codes, self.rows = model, len(codes), codes.shape[-1]
        self.state = model.start(codes.permute(1, 2, 0, 3).flatten(2))  # the codes of a row lie R apart

    def log_probabilities(self) -> Tensor:
        """Returns log p̄ of every word, [R, words]. UNKNOWN gets −∞: a caption must not contain it."""
        each = self.model.next_word(self.state).view(self.codes, self.rows, -1)
        averaged = each.logsumexp(0) - math.log(self.codes)
        averaged[:, UNKNOWN] = -math.inf
        return averaged

    def advance(self, rows: Tensor, words: Tensor) -> None:
        """Continues the given rows [R'] by one word each [R']. A row may occur several times or not at all."""
        kept = tuple(each.view(self.codes, self.rows, -1)[:, rows].flatten(0, 1) for each in self.state)
        self.state, self.rows = self.model.advance(kept, words.repeat(self.codes)), len(rows)


@torch.no_grad()
def beam_search(model: CaptionModel, codes: Tensor, *, beams: int, power: float, longest: int) -> GeneratedCaptions:
    """Finds captions with a high log p̄(Y | X) / length^power, keeping the best `beams` unfinished ones at each step.

    With as many beams as there are possible beginnings the result is the best caption of all.

    Args:
        codes: [N_s, K_L, m, B].
        power: exponent of the length, which counts words and the end. 0 compares probabilities, which favours short
            captions; 1 compares means per word.
        longest: the most words that a caption may have, the end not counted.
    """
    search = _Search(codes.shape[-1], beams, power, longest, codes.device)
    predictive = Predictive(model, codes)
    for length in range(1, longest + 2):
        log_probabilities = predictive.log_probabilities().view(search.images, -1, len(model.words))
        search.end(log_probabilities[..., END], length)
        if length > longest or not search.extend(log_probabilities):
            break
        predictive.advance(search.rows, search.words)
    return GeneratedCaptions(search.best_words, search.best_total)


class _Search:
    """The unfinished captions of each image, best first, and its best finished one."""

    def __init__(self, images: int, beams: int, power: float, longest: int, device: torch.device) -> None:
        self.images, self.beams, self.power, self.longest = images, beams, power, longest
        self.totals = torch.zeros(images, 1, device=device)  # log p̄ of the unfinished captions
        self.unfinished = torch.zeros(images, 1, 0, dtype=torch.long, device=device)
        self.best_score = torch.full((images,), -math.inf, device=device)
        self.best_total = self.best_score.clone()
        self.best_words = torch.full((images, longest + 1), PADDING, device=device)
        self.rows = self.words = torch.zeros(0, dtype=torch.long, device=device)

    def end(self, end: Tensor, length: int) -> None:
        """Ends each unfinished caption at that length and keeps it if it is the best so far.

        Args:
            end: log p̄(END) after each of the K unfinished captions, [B, K].
        """
        totals = self.totals + end
        total, which = totals.max(1)
        score = total / length**self.power
        better = score > self.best_score
        ended = torch.full_like(self.best_words, PADDING)
        ended[:, : length - 1] = self.unfinished[torch.arange(self.images, device=which.device), which]
        ended[:, length - 1] = END
        self.best_score = torch.where(better, score, self.best_score)
        self.best_total = torch.where(better, total, self.best_total)
        self.best_words = torch.where(better[:, None], ended, self.best_words)

    def extend(self, log_probabilities: Tensor) -> bool:
        """Extends the unfinished captions by one word and keeps the best.

        Args:
            log_probabilities: log p̄ of every next word, [B, K, words]; END is overwritten.

        Returns:
            Whether any of them can still beat its image's best finished caption.
        """
        images, count, words = log_probabilities.shape
        log_probabilities[..., END] = -math.inf
        candidates = (self.totals[..., None] + log_probabilities).flatten(1)
        possible = count * (words - 2)  # every word but END and UNKNOWN
        self.totals, chosen = candidates.topk(min(self.beams, possible))
        which, self.words = chosen // words, (chosen % words).flatten()
        earlier = self.unfinished.gather(1, which[..., None].expand(-1, -1, self.unfinished.shape[2]))
        self.unfinished = torch.cat([earlier, self.words.view(images, -1, 1)], 2)
        self.rows = (which + count * torch.arange(images, device=which.device)[:, None]).flatten()
        # Every further word lowers log p̄, and the longest caption has the largest divisor.
        return bool((self.totals[:, 0] / (self.longest + 1) ** self.power > self.best_score).any())


def generate_captions(
    model: CaptionModel, codes: Tensor, *, decoding: str, beams: int, power: float, longest: int
) -> GeneratedCaptions:
    """Generates a caption for each image.

    Args:
        codes: [N_s, K_L, m, B], N_s codes for each of B images.
        decoding: "beam", "greedy" or "sample" (each word drawn by its probability).
        beams: as for `beam_search`; the other ways do without.
        power: likewise.
        longest: as for `beam_search`.
    """
    if decoding == "beam":
        return beam_search(model, codes, beams=beams, power=power, longest=longest)
    return word_by_word(model, codes, choose=most_probable if decoding == "greedy" else sampled, longest=longest)


def most_probable(log_probabilities: Tensor) -> Tensor:
    """Chooses the most probable word of each row: the greedy choice."""
    return log_probabilities.argmax(1)


def sampled(log_probabilities: Tensor) -> Tensor:
    """Draws a word for each row by its probability."""
    return log_probabilities.exp().multinomial(1)[:, 0]


@torch.no_grad()
def word_by_word(model: CaptionModel, codes: Tensor, *, choose: Choice, longest: int) -> GeneratedCaptions:
    """Generates captions one word after the other, each final once chosen.

    Args:
        codes: [N_s, K_L, m, B].
        choose: `most_probable` or `sampled`.
        longest: the most words of a caption; one that has so many ends there, however improbable the end is.
    """
    predictive = Predictive(model, codes)
    images = codes.shape[-1]
    everything = torch.arange(images, device=codes.device)
    words = torch.full((images, longest + 1), PADDING, device=codes.device)
    total = torch.zeros(images, device=codes.device)
    open_ = torch.ones(images, dtype=torch.bool, device=codes.device)
    for step in range(longest + 1):
        log_probabilities = predictive.log_probabilities()
        chosen = torch.full_like(everything, END) if step == longest else choose(log_probabilities)
        words[open_, step] = chosen[open_]
        total += torch.where(open_, log_probabilities[everything, chosen], 0.0)
        open_ = open_ & (chosen != END)
        if not open_.any():
            break
        predictive.advance(everything, chosen)
    return GeneratedCaptions(words, total)


@torch.no_grad()
def log_likelihood(model: CaptionModel, codes: Tensor, captions: Tensor) -> Tensor:
    """Returns log p̄(Y | X), [B], of given captions [B, L] under codes [N_s, K_L, m, B].

    It averages each word's probability over the codes, as the search does, so the two can be compared.
    """
    each = torch.stack([model.word_log_likelihoods(code, captions) for code in codes])
    return (each.logsumexp(0) - math.log(len(codes))).where(captions != PADDING, 0.0).sum(1)
