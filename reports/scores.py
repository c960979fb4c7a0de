"""Scores of captions: which there are, what values they may have, and how they are called and printed."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """One score: its title, the decimals it is printed with, and the ends of its range. `optional` scores may be
    empty; `best` is "highest" or "lowest"."""

    title: str
    digits: int = 3
    low: float = 0.0
    high: float = math.inf
    optional: bool = False
    best: str = "highest"


SCORES = {  # column → score, in the order of the field's tables
    **{f"bleu{n}": Score(f"BLEU-{n}", high=1.0) for n in (1, 2, 3, 4)},
    "meteor": Score("METEOR", high=1.0, optional=True),  # computed by a Java program, which may not be there
    "rouge_l": Score("ROUGE-L", high=1.0),
    "cider": Score("CIDEr"),
    "perplexity": Score("Perplexity", 2, low=1.0, optional=True, best="lowest"),  # needs a likelihood
}
