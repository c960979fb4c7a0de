"""The scores of captions: their names, the values they may have, and how they are printed."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Score:
    """One score of captions.

    Attributes:
        title: its name in tables and figures.
        digits: decimals it is printed with.
        low, high: the ends of its range.
        optional: whether a finished trial may lack it.
        best: "highest" or "lowest".
    """

    title: str
    digits: int = 3
    low: float = 0.0
    high: float = math.inf
    optional: bool = False
    best: str = "highest"


SCORES = {  # from column of results.csv to score, in the order usual in the literature
    **{f"bleu{n}": Score(f"BLEU-{n}", high=1.0) for n in (1, 2, 3, 4)},
    "meteor": Score("METEOR", high=1.0, optional=True),  # computed by a Java program, which may not be installed
    "rouge_l": Score("ROUGE-L", high=1.0),
    "cider": Score("CIDEr"),
    "perplexity": Score("Perplexity", 2, low=1.0, optional=True, best="lowest"),  # needs a likelihood
}
