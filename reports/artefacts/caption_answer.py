"""The answer page about captions: whether ours is above the other systems in BLEU-4, decided by rules."""

from __future__ import annotations

from reports.analysis.caption_claims import METRIC, TITLE, caption_claims
from reports.analysis.statistics import headline
from reports.artefacts.answer import RULES, claim_values, claims_markdown, rules_markdown
from reports.artefacts.contract import Artefact, register
from reports.inputs.sources import Sources
from reports.writing.templating import render


@register(place=15, learns=("captions",))
def caption_answer(sources: Sources) -> Artefact:
    """Makes answer.html, answer.md, and a section with the verdicts alone."""
    rows = headline(sources.results)
    values = {
        "claims": [claim_values(claim, sources.kind.digits[METRIC]) for claim in caption_claims(rows, sources.names)],
        "rules": [rule.replace("labelled images", "captioned images") for rule in RULES],
        "dataset": sources.sweep.dataset,
        "repetitions": int(rows.groupby(["system", "proportion"])["seed"].nunique().max()),
        "sweep": sources.sweep,
        "measure": f"Difference in {TITLE}",
        "behind": "and the rules",
    }
    page = render("caption-answer.html", title=f"The answer: {sources.sweep.dataset}", **values)
    files = {
        "answer.html": f"{page}\n".encode(),
        "answer.md": "\n".join([*claims_markdown(values), *rules_markdown(values)]).encode(),
    }
    return Artefact(files, "The answer", render("answer-section.html", **values))
