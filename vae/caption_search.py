"""Saying captions: beam search, greedy choice and sampling, on a next word's probability averaged over codes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from vae.caption_model import END, PADDING, UNKNOWN, CaptionModel

Choice = Callable[[Tensor], Tensor]  # log-probabilities [B, words] to a word each, [B]


@dataclass(frozen=True)
class Said:
    """A caption for each of B images: `words` [B, L] as numbers, END at the end and PADDING behind it; `log_likelihood`
    [B] of these words and their end, in nats, None where what said them has no likelihood; `texts` where they are
    somebody's own, which the vocabulary need not hold."""

    words: Tensor
    log_likelihood: Tensor | None
    texts: list[str] | None = None

    @property
    def lengths(self) -> Tensor:
        """Words of each caption, its end among them, [B]."""
        return (self.words != PADDING).sum(1)


class Predictive:
    """p̄(y_t | y_{<t}, X) = 1/N_s Σ p(y_t | y_{<t}, s_i): the next word's probability, averaged over codes at each step.

    Args:
        codes: [N_s, K_L, m, R], N_s codes for each of R captions under way.
    """

    def __init__(self, model: CaptionModel, codes: Tensor) -> None:
        self.model, self.codes, self.rows = model, len(codes), codes.shape[-1]
        self.state = model.start(codes.permute(1, 2, 0, 3).flatten(2))  # codes of a row lie R apart

    def log_probabilities(self) -> Tensor:
        """log p̄ of every word, [R, words]; UNKNOWN, which nobody wants to read, cannot be said."""
        each = self.model.next_word(self.state).view(self.codes, self.rows, -1)
        found = each.logsumexp(0) - math.log(self.codes)
        found[:, UNKNOWN] = -math.inf
        return found

    def advance(self, rows: Tensor, words: Tensor) -> None:
        """Goes on with these rows [R'], some maybe several times and others not at all, each by a word [R']."""
        kept = tuple(each.view(self.codes, self.rows, -1)[:, rows].flatten(0, 1) for each in self.state)
        self.state, self.rows = self.model.advance(kept, words.repeat(self.codes)), len(rows)


@torch.no_grad()
def beam_search(model: CaptionModel, codes: Tensor, *, beams: int, power: float, longest: int) -> Said:
    """The caption of the highest log p̄(Y | X) / length^power that is found when `beams` unfinished ones are kept at
    each step; with as many beams as there are beginnings that is the highest of all.

    Args:
        codes: [N_s, K_L, m, B].
        power: of the length, in words and the end; 0 compares probabilities, which favours short captions, 1 the mean
            per word.
        longest: words, at most, besides the end.
    """
    search = _Search(codes.shape[-1], beams, power, longest, codes.device)
    predictive = Predictive(model, codes)
    for length in range(1, longest + 2):
        found = predictive.log_probabilities().view(search.images, -1, len(model.words))
        search.end(found[..., END], length)
        if length > longest or not search.go_on(found):
            break
        predictive.advance(search.rows, search.words)
    return Said(search.best_words, search.best_total)


class _Search:
    """Unfinished captions of each image, best first, and the best finished one."""

    def __init__(self, images: int, beams: int, power: float, longest: int, device: torch.device) -> None:
        self.images, self.beams, self.power, self.longest = images, beams, power, longest
        self.totals = torch.zeros(images, 1, device=device)  # log p̄ of the unfinished
        self.said = torch.zeros(images, 1, 0, dtype=torch.long, device=device)
        self.best_score = torch.full((images,), -math.inf, device=device)
        self.best_total = self.best_score.clone()
        self.best_words = torch.full((images, longest + 1), PADDING, device=device)
        self.rows = self.words = torch.zeros(0, dtype=torch.long, device=device)

    def end(self, end: Tensor, length: int) -> None:
        """Ends each unfinished caption, whose log p̄(END) is `end` [B, K], at that length: is it the best so far?"""
        totals = self.totals + end
        total, which = totals.max(1)
        score = total / length**self.power
        better = score > self.best_score
        ended = torch.full_like(self.best_words, PADDING)
        ended[:, : length - 1] = self.said[torch.arange(self.images, device=which.device), which]
        ended[:, length - 1] = END
        self.best_score = torch.where(better, score, self.best_score)
        self.best_total = torch.where(better, total, self.best_total)
        self.best_words = torch.where(better[:, None], ended, self.best_words)

    def go_on(self, found: Tensor) -> bool:
        """Lengthens the unfinished captions by the words of log p̄ `found` [B, K, words] and keeps the best; False where
        none of them can still become better than what is finished."""
        images, count, words = found.shape
        found[..., END] = -math.inf
        candidates = (self.totals[..., None] + found).flatten(1)
        sayable = count * (words - 2)
        self.totals, chosen = candidates.topk(min(self.beams, sayable))
        which, self.words = chosen // words, (chosen % words).flatten()
        earlier = self.said.gather(1, which[..., None].expand(-1, -1, self.said.shape[2]))
        self.said = torch.cat([earlier, self.words.view(images, -1, 1)], 2)
        self.rows = (which + count * torch.arange(images, device=which.device)[:, None]).flatten()
        # Whatever follows lowers log p̄, and the longest caption has the largest divisor.
        return bool((self.totals[:, 0] / (self.longest + 1) ** self.power > self.best_score).any())


def say(model: CaptionModel, codes: Tensor, *, decoding: str, beams: int, power: float, longest: int) -> Said:
    """Captions by that way, "beam", "greedy" or "sample" (a word by its probability); codes are [N_s, K_L, m, B]."""
    if decoding == "beam":
        return beam_search(model, codes, beams=beams, power=power, longest=longest)
    return word_by_word(model, codes, choose=most_probable if decoding == "greedy" else drawn, longest=longest)


def most_probable(log_probabilities: Tensor) -> Tensor:
    """The greedy choice."""
    return log_probabilities.argmax(1)


def drawn(log_probabilities: Tensor) -> Tensor:
    """A word by its probability."""
    return log_probabilities.exp().multinomial(1)[:, 0]


@torch.no_grad()
def word_by_word(model: CaptionModel, codes: Tensor, *, choose: Choice, longest: int) -> Said:
    """Captions whose words are chosen one after the other, by `most_probable` or `drawn`; codes are [N_s, K_L, m, B].

    One of `longest` words ends there, whatever END's probability is.
    """
    predictive = Predictive(model, codes)
    images = codes.shape[-1]
    everything = torch.arange(images, device=codes.device)
    words = torch.full((images, longest + 1), PADDING, device=codes.device)
    total = torch.zeros(images, device=codes.device)
    open_ = torch.ones(images, dtype=torch.bool, device=codes.device)
    for step in range(longest + 1):
        found = predictive.log_probabilities()
        chosen = torch.full_like(everything, END) if step == longest else choose(found)
        words[open_, step] = chosen[open_]
        total += torch.where(open_, found[everything, chosen], 0.0)
        open_ = open_ & (chosen != END)
        if not open_.any():
            break
        predictive.advance(everything, chosen)
    return Said(words, total)


@torch.no_grad()
def log_likelihood(model: CaptionModel, codes: Tensor, captions: Tensor) -> Tensor:
    """log p̄(Y | X), [B], of captions [B, L] under codes [N_s, K_L, m, B]: what a search compares, of given words."""
    each = torch.stack([model.word_log_likelihoods(code, captions) for code in codes])
    return (each.logsumexp(0) - math.log(len(codes))).where(captions != PADDING, 0.0).sum(1)
