"""Words of captions in many languages, compared with Unicode's own boundaries; English as it always was cut."""

from __future__ import annotations

import re
from unicodedata import normalize

import pytest
import regex
from hypothesis import given, settings
from hypothesis import strategies as st

from data.labelled.text import Vocabulary
from data.scenes.composition import scene
from data.tokens import words
from experiments.trials.caption_scores import scores

ENGLISH = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")  # the rule by which published vocabularies were made
HINDI = "हिन्दी में एक कुत्ता दौड़ रहा है।"
OTHERS = {
    HINDI: ["हिन्दी", "में", "एक", "कुत्ता", "दौड़", "रहा", "है"],
    "Un cafe\u0301 nai\u0308f": ["un", "café", "naïf"],
    "Đây là tiếng Việt": ["đây", "là", "tiếng", "việt"],
    "İstanbul'da bir IŞIK": ["istanbul'da", "bir", "işik"],
    "مُحَمَّد في البيت": ["مُحَمَّد", "في", "البيت"],
    "می‌خواهم": ["می‌خواهم"],
    'צה"ל אמר: "שלום"': ['צה"ל', "אמר", "שלום"],
    "col·lecció d’art": ["col·lecció", "d'art"],
    "ex\u00adample \u200fagain": ["example", "again"],
    "한국어 개": ["한국어", "개"],
    "一只狗在跑": list("一只狗在跑"),
    "東京タワーの犬": ["東", "京", "タワー", "の", "犬"],
    "สุนัข": ["สุ", "นั", "ข"],
}
EMOJI = ["Côte d’Ivoire Flag", "RESCUE WORKER’S HELMET", "São Tomé & Príncipe Flag", "Åland Islands Flag", "T-REX"]


@pytest.mark.parametrize(("caption", "expected"), OTHERS.items())
def test_other_languages(caption, expected):
    assert words(caption) == [normalize("NFC", word) for word in expected]
    assert words(normalize("NFD", caption)) == words(caption)


SCRIPTS = "abé кот ગુજરાતી हिन्दी தமிழ் عَرَب עברית 한국 一只 ひらが カタカ ไทยนี้ ខ្មែរ 0१ ( ! —"


@given(st.lists(st.sampled_from(regex.findall(r"\X", SCRIPTS)), max_size=12).map("".join))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_words_are_those_between_the_default_boundaries_of_unicode(text):
    pieces = regex.split(r"(?V1w)\b", normalize("NFC", text))
    assert words(text) == [piece for piece in pieces if regex.search(r"[\p{L}\p{N}]", piece)]


@given(st.text() | st.text(SCRIPTS + "'’-\"·İ_", max_size=30))
@settings(max_examples=500, deadline=None, derandomize=True)
def test_words_that_are_cut_again_are_the_same_in_whichever_form_they_come(text):
    found = words(text)
    assert words(" ".join(found)) == found
    assert words(normalize("NFD", text)) == words(normalize("NFC", text)) == found
    assert all(word == word.strip() and len(word.split()) == 1 for word in found)


@given(st.text("abcXYZ089éñÄß .,;:_-'’“”\"()&!?\t\n½–—…/@#%*+=<>[]{}", max_size=40))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_english_is_cut_as_it_always_was(text):
    assert words(text) == [word.replace("’", "'") for word in ENGLISH.findall(text.lower())]


def test_the_captions_of_published_reports_are_cut_as_they_always_were():
    drawn = [caption for number in range(300) for caption in scene(number).captions]
    for text in [*drawn, *EMOJI]:
        assert words(text) == [word.replace("’", "'") for word in ENGLISH.findall(text.lower())]


def test_vocabulary_and_scores_take_both_forms_of_a_text_for_the_same():
    composed, decomposed = normalize("NFC", HINDI + " café"), normalize("NFD", HINDI + " café")
    vocabulary = Vocabulary.of([composed, decomposed], minimum=2)
    assert set(vocabulary.words[2:]) == set(words(composed))
    assert vocabulary.encode(decomposed) == vocabulary.encode(composed)
    found = scores([decomposed, "a"], [[composed], ["a"]], meteor=False)
    assert found["bleu1"] == pytest.approx(1)
    assert found["rouge_l"] == pytest.approx(1)
