from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from data.errors import UserError
from data.labelled.text import END, UNKNOWN, Texts, Vocabulary
from data.tokens import words

# Raw sentences and the tokens that Karpathy's own files give for them.
PUBLISHED = [
    ("A black dog is running after a white dog in the snow .",
     ["a", "black", "dog", "is", "running", "after", "a", "white", "dog", "in", "the", "snow"]),
    ("A white car has stopped in front of a white truck",
     ["a", "white", "car", "has", "stopped", "in", "front", "of", "a", "white", "truck"]),
    ("The man with pierced ears is wearing glasses and an orange hat.",
     ["the", "man", "with", "pierced", "ears", "is", "wearing", "glasses", "and", "an", "orange", "hat"]),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "tokens"), PUBLISHED)
def test_words_are_those_of_karpathys_files(raw, tokens):
    assert words(raw) == tokens


def test_words_of_other_tongues_and_signs():
    assert words("Two boys' T-shirts, isn’t it?  (50% off)") == ["two", "boys", "t-shirts", "isn't", "it", "50", "off"]
    assert words("Ein Mädchen läuft — schnell!") == ["ein", "mädchen", "läuft", "schnell"]
    assert words(" … !") == []


def test_a_vocabulary_counts_and_orders():
    vocabulary = Vocabulary.of(["b a", "b c a", "B. d"], minimum=2)
    assert vocabulary.words == ("<end>", "<unknown>", "b", "a")
    assert vocabulary.counts == (0, 0, 3, 2)
    assert vocabulary.encode("A b zebra") == [3, 2, UNKNOWN, END]
    assert vocabulary.decode([3, 2, UNKNOWN, END, 2]) == "a b <unknown>"


def test_too_high_a_minimum():
    with pytest.raises(UserError, match=r"no word comes 3 times .*data.minimum_count"):
        Vocabulary.of(["a b", "a c"], minimum=3)


@given(st.lists(st.lists(st.text("abc .", max_size=12), max_size=4), min_size=1, max_size=6))
def test_texts_are_the_captions_of_each_image(tmp_path_factory, captions):
    flat = [caption for of_image in captions for caption in of_image]
    counted = Counter(word for caption in flat for word in caption.replace(".", " ").split())
    if not counted:
        return
    vocabulary = Vocabulary.of(flat, 1)
    folder = tmp_path_factory.mktemp("texts")
    vocabulary.save(folder)
    Texts.of(captions, vocabulary).save(folder)
    texts, read = Texts.open(folder), Vocabulary.open(folder)
    assert read == vocabulary
    assert dict(zip(read.words[2:], read.counts[2:], strict=True)) == counted
    for image, of_image in enumerate(captions):
        found = texts.of_image(image)
        assert [read.decode(caption) for caption in found] == [" ".join(words(caption)) for caption in of_image]
        assert all(caption.dtype == np.int32 and caption[-1] == END for caption in found)


def test_what_is_kept_can_be_read_without_this_package(tmp_path):
    Vocabulary.of(["naïve café", "café"], 1).save(tmp_path)
    content = json.loads((tmp_path / "vocabulary.json").read_text(encoding="utf-8"))
    assert content == {"minimum": 1, "words": ["<end>", "<unknown>", "café", "naïve"], "counts": [0, 0, 2, 1]}
