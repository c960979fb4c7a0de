"""How captions are cut into words, the same wherever words are counted, learned or scored."""

from __future__ import annotations

import re

_WORD = re.compile(r"[^\W_]+(?:['’\-][^\W_]+)*")


def words(caption: str) -> list[str]:
    """Returns the words of a caption in lower case. Of punctuation, only apostrophes and hyphens within words stay."""
    return [word.replace("’", "'") for word in _WORD.findall(caption.lower())]
