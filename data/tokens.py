"""A caption cut into words, the same way wherever words are counted, learned or scored."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")


def words(caption: str) -> list[str]:
    """A caption's words, lower case, without punctuation; apostrophes and hyphens within a word stay."""
    return [word.replace("’", "'") for word in _WORD.findall(caption.lower())]
