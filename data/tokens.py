"""How captions are cut into words, the same wherever words are counted, learned or scored.

Words are those of Unicode's default word boundaries (UAX 29), in normalisation form C (UAX 15), with the changes that
the annex leaves to its users: a hyphen or an apostrophe within a word stays, while a full stop, a comma, a colon and an
underscore part two words. So English is cut as the field cuts it. Marks belong to the letter before them. Where a
language is written without blanks, each character is a word, as UAX 29 has it without a dictionary.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING
from unicodedata import normalize

if TYPE_CHECKING:
    import regex

_MARK = r"\p{WB=Extend}\p{WB=ZWJ}"  # classes of characters; WB is the property Word_Break of UAX 29
_LETTER = r"\p{N}[\p{L}&&[\p{WB=ALetter}\p{WB=Hebrew_Letter}]]"  # or digit
_RUN = rf"[{_LETTER}][{_LETTER}{_MARK}]*"
# Apostrophes and hyphens; the signs within a word of Catalan, Greek, Armenian and Hebrew; a Hebrew acronym's quote.
_WITHIN = r"['’\-\u00b7\u0387\u055f\u05f4\u2027]|(?<=\p{WB=Hebrew_Letter})\"(?=\p{WB=Hebrew_Letter})"
_ALONE = rf"(?:\p{{WB=Katakana}}[{_MARK}]*)+|\p{{L}}[{_MARK}]*"  # Katakana, Chinese, Hiragana, Thai, …
_WORD = rf"(?V1){_RUN}(?:(?:{_WITHIN})[{_MARK}]*{_RUN})*|{_ALONE}"
_INVISIBLE = r"\p{WB=Format}"  # soft hyphens and marks of direction, which UAX 29 passes over
_DOTTED = "i\u0307"  # what the Turkish capital İ becomes in lower case outside a Turkish locale, where it becomes i


@cache
def _compiled(pattern: str) -> regex.Pattern[str]:
    import regex  # here, so that learning from captions that are numbers already needs no such package

    return regex.compile(pattern)


def words(caption: str) -> list[str]:
    """Returns the words of a caption in lower case. Of punctuation, only apostrophes and hyphens within words stay."""
    plain = normalize("NFC", _compiled(_INVISIBLE).sub("", caption)).replace("İ", "i").lower().replace(_DOTTED, "i")
    return [word.replace("’", "'") for word in _compiled(_WORD).findall(normalize("NFC", plain))]
