"""Generated captions against an enumeration of all possible captions."""

import itertools
import math

import pytest
import torch

from tests.vae.test_caption_model import captions_of, model_of
from vae.caption_model import CELLS, END, PADDING, UNKNOWN
from vae.caption_search import beam_search, log_likelihood, most_probable, sampled, word_by_word

LONGEST = 3
VOCABULARY = (2, 3, 4, 5, 6)
EVERYTHING = [(*words, END) for length in range(LONGEST + 1) for words in itertools.product(VOCABULARY, repeat=length)]


def codes_of(draws, images, seed=0):
    torch.manual_seed(seed)
    return torch.randn(draws, 2, 3, images)


def exhausted(model, codes, power):
    """Returns, by image, the best of all captions under p̄ and its log-likelihood, from the definition of p̄."""
    captions = captions_of(*EVERYTHING)
    lengths = (captions != PADDING).sum(1)
    best = []
    for image in range(codes.shape[-1]):
        total = torch.zeros(len(captions))
        each = [
            model.word_log_likelihoods(code[..., image : image + 1].expand(-1, -1, len(captions)), captions)
            for code in codes
        ]
        total = (sum(one.exp() for one in each) / len(each)).log().where(captions != PADDING, 0.0).sum(1)
        which = int((total / lengths**power).argmax())
        best.append((EVERYTHING[which], float(total[which])))
    return best


@pytest.mark.parametrize("cell", CELLS)
@pytest.mark.parametrize("power", [0.0, 0.7, 1.0])
@pytest.mark.parametrize("draws", [1, 4])
def test_beam_search_finds_the_best_of_all(cell, power, draws):
    """With as many beams as there are beginnings the search is exact."""
    model = model_of(cell).eval()
    codes = codes_of(draws, images=6)
    with torch.no_grad():
        captions = beam_search(model, codes, beams=len(VOCABULARY) ** LONGEST, power=power, longest=LONGEST)
        best = exhausted(model, codes, power)
    for words, total, (expected, nats) in zip(captions.words, captions.log_likelihood, best, strict=True):
        assert tuple(words[words != PADDING].tolist()) == expected
        assert float(total) == pytest.approx(nats, abs=1e-4)


def test_few_beams_are_never_better_and_more_never_worse_here():
    model = model_of().eval()
    codes = codes_of(3, images=40)
    best = beam_search(model, codes, beams=125, power=0.7, longest=LONGEST)
    scores = []
    for beams in (1, 3, 125):
        captions = beam_search(model, codes, beams=beams, power=0.7, longest=LONGEST)
        scores.append(captions.log_likelihood / captions.lengths**0.7)
        assert (scores[-1] <= best.log_likelihood / best.lengths**0.7 + 1e-5).all()
    assert scores[0].mean() <= scores[1].mean() <= scores[2].mean()


def test_what_a_search_says_of_its_caption_is_its_likelihood():
    model = model_of().eval()
    codes = codes_of(5, images=8)
    for captions in (
        beam_search(model, codes, beams=2, power=1.0, longest=LONGEST),
        word_by_word(model, codes, choose=most_probable, longest=LONGEST),
        word_by_word(model, codes, choose=sampled, longest=LONGEST),
    ):
        torch.testing.assert_close(captions.log_likelihood, log_likelihood(model, codes, captions.words))
        assert (captions.words.gather(1, captions.lengths[:, None] - 1) == END).all()
        assert not (captions.words == UNKNOWN).any()


def test_greedy_takes_the_most_probable_word_each_time():
    model = model_of().eval()
    codes = codes_of(1, images=5)
    captions = word_by_word(model, codes, choose=most_probable, longest=LONGEST)
    with torch.no_grad():
        for image in range(5):
            state, words = model.start(codes[0, ..., image : image + 1]), []
            while len(words) < LONGEST:
                found = model.next_word(state)[0]
                found[UNKNOWN] = -math.inf
                words.append(int(found.argmax()))
                if words[-1] == END:
                    break
                state = model.advance(state, torch.tensor(words[-1:]))
            expected = words if words[-1] == END else [*words, END]
            assert captions.words[image][captions.words[image] != PADDING].tolist() == expected


def test_samples_come_as_often_as_they_are_probable():
    """χ² test over all captions of at most one word; p̄ has no UNKNOWN and is renormalised at each word."""
    model = model_of().eval()
    draws, copies = 2, 20_000
    codes = codes_of(draws, images=1)
    torch.manual_seed(1)
    captions = word_by_word(model, codes.expand(-1, -1, -1, copies), choose=sampled, longest=1)
    with torch.no_grad():
        first = torch.stack([model.next_word(model.start(code))[0].exp() for code in codes]).mean(0)
    first[UNKNOWN] = 0
    expected = copies * first / first.sum()
    counts = torch.bincount(captions.words[:, 0], minlength=7)
    chi = ((counts - expected).square() / expected.clamp(min=1e-9))[expected > 0].sum()
    assert chi < 20.5  # 0.1 % of χ² with five degrees of freedom
