"""The claims about captions, tested on paired differences in BLEU-4."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pandas as pd

from reports.analysis.claims import Claim, Part, proportions_text
from reports.analysis.comparison import FEW, ours, pair, shared_proportions
from reports.names import Name, percent

METRIC, TITLE = "bleu4", "BLEU-4"


def caption_claims(rows: pd.DataFrame, names: Mapping[str, Name]) -> list[Claim]:
    """Returns the claims on these trials (`statistics.headline`).

    They say that "ours", the paper's systems that learn from all images, are above the systems that learn from
    captioned images alone, and above those beyond the paper.
    """
    mine = [names[system] for system in ours(names)]
    alone = [name for name in names.values() if name.learns_from == "labelled images"]
    beyond = [name for name in names.values() if name.origin == "beyond" and name not in alone]
    who = _both(mine, "a model of images and captions")
    return [
        Claim(
            f"With at most {percent(FEW)} of the captions, {who} is above {_both(alone, 'networks')} in {TITLE}",
            "Images without captions help where captions are few: its mean over these proportions is above "
            "that of each system that learns from the captioned images alone.",
            _parts(rows, mine, alone, few=True),
            f"the two were not both run with {percent(FEW)} of the captions or fewer",
        ),
        Claim(
            f"Over all proportions, {who} is above {_both(beyond, 'systems beyond the paper')} in {TITLE}",
            "On average, captions that are generated word by word are nearer to the references than those of each "
            "system here that is not the paper’s.",
            _parts(rows, mine, beyond, few=False),
            "the two were not both run",
        ),
    ]


def _both(names: Sequence[Name], otherwise: str) -> str:
    return " and ".join(name.label for name in names) or otherwise


def _parts(rows: pd.DataFrame, mine: Sequence[Name], others: Sequence[Name], few: bool) -> list[Part]:
    parts = []
    for own in mine:
        for other in others:
            shared = shared_proportions(rows, own.system, other.system)
            shared = [proportion for proportion in shared if proportion <= FEW or not few]
            if shared:
                left, right = (rows[rows["system"] == name.system] for name in (own, other))
                label = f"{own.label} − {other.label}, {proportions_text(shared)}"
                parts.append(Part(label, pair(left, right, shared, METRIC)))
    return parts
