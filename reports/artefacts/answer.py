"""The answer page: which of the paper's claims hold in these results, decided by rules from the numbers."""

from __future__ import annotations

from typing import Any

from reports.analysis.claims import FAILS, HOLDS, OPEN, Claim, Pick, claims, p_text, picks
from reports.analysis.comparison import compare
from reports.analysis.statistics import headline, summarise
from reports.artefacts.contract import Artefact, register
from reports.artefacts.differences import signed
from reports.inputs.gallery import Sweep
from reports.inputs.sources import Sources
from reports.names import Name, percent
from reports.writing.escaping import for_markdown
from reports.writing.tables import pipes
from reports.writing.templating import number, render

RULES = (
    "Each claim was made, with its direction, before these runs, so each is tested by itself, one-sided, at the 5 % "
    "level: by exact sign flips of the paired differences, one difference per repetition. Five repetitions are the "
    "fewest with which this test can reach that level (1/2^5 = 0.031).",
    f"“{HOLDS.capitalize()}”: every difference named under the claim is above zero (the largest of their p above "
    "is at most 0.05).",
    f"“{FAILS.capitalize()}”: one of them is below zero (Simes’ p over their p below is at most 0.05, which accounts "
    "for their number).",
    f"“{OPEN.capitalize()}”: neither. That is not evidence of no difference.",
    "The tests hold for other choices of labelled images and other initial weights on this one dataset. There is no "
    "correction across the claims.",
)
MEASURE = "Difference in top-1 (points)"
CLASSES = {HOLDS: "done", FAILS: "failed", OPEN: "missing"}


@register(place=15, learns=("labels",))
def answer(sources: Sources) -> Artefact:
    """Makes answer.html, answer.md, and a section with the verdicts alone."""
    rows = headline(sources.results)
    tested = claims(sources.results, sources.averaging, sources.names, _draws(sources.sweep))
    values: dict[str, Any] = {
        "claims": [claim_values(claim) for claim in tested],
        "picks": [_pick_values(pick) for pick in _picks(sources)],
        "rules": RULES,
        "about_picks": PICKS,
        "dataset": sources.sweep.dataset,
        "repetitions": int(rows.groupby(["system", "proportion"])["seed"].nunique().max()),
        "sweep": sources.sweep,
        "measure": MEASURE,
        "behind": "the rules, and what to pick at each proportion",
    }
    files = {
        "answer.html": f"{render('answer.html', title=f'The answer: {sources.sweep.dataset}', **values)}\n".encode(),
        "answer.md": _markdown(values).encode(),
    }
    return Artefact(files, "The answer", render("answer-section.html", **values))


def _draws(sweep: Sweep) -> dict[str, int]:
    """Returns N_s, the number of codes averaged over, by system, where the sweep's settings name it."""
    settings = sweep.params.get("settings")
    settings = settings if isinstance(settings, dict) else {}
    return {
        system: own["draws"]
        for system, own in settings.items()
        if isinstance(own, dict) and isinstance(own.get("draws"), int)
    }


def _picks(sources: Sources) -> list[Pick]:
    rows = headline(sources.results)
    tidy = summarise(rows, ["top1"], ["system", "proportion"])
    return picks(tidy, compare(rows, sources.names), sources.names)


def claim_values(claim: Claim, digits: int = 2) -> dict[str, Any]:
    """Formats a claim for the answer's templates, its differences with that many decimals."""

    def interval(ends: tuple[float, float]) -> str:
        return " to ".join(signed(end, digits) for end in ends)

    n = f"{claim.n} repetition{'' if claim.n == 1 else 's'}"
    verdict = f"{OPEN} with {n}" if claim.verdict == OPEN and claim.parts else claim.verdict
    return {
        "title": claim.title,
        "text": claim.text,
        "verdict": verdict,
        "kind": CLASSES[claim.verdict],
        "missing": "" if claim.parts else claim.missing,
        "parts": [
            {
                "label": part.label,
                "mean": signed(part.paired.mean, digits),
                "interval": interval(part.paired.interval) if part.paired.n > 1 else "—",
                "wins": f"{part.paired.wins} of {part.paired.n}",
                "above": p_text(part.above),
                "below": p_text(part.below),
                "gap": part.paired.asked - part.paired.n,
            }
            for part in claim.parts
        ],
        "trial_ids": claim.trial_ids,
    }


def _pick_values(pick: Pick) -> dict[str, Any]:
    """Formats a pick for the answer's templates."""

    def best(name: Name | None) -> str:
        return f"{name.label}, {number(pick.means[name.system])}" if name else "—"

    values = {
        "proportion": percent(pick.proportion),
        "system": best(pick.system),
        "baseline": best(pick.baseline),
    }
    row = pick.row
    if row is None or row["n"] == 0:
        unknown = dict.fromkeys(("difference", "interval", "corrected", "verdict"), "—")
        return values | unknown | {"trial_ids": []}
    repetitions = f"{row['n']} repetition{'' if row['n'] == 1 else 's'}"
    return values | {
        "difference": signed(row["mean"]),
        "interval": f"{signed(row['low'])} to {signed(row['high'])}" if row["n"] > 1 else "—",
        "corrected": p_text(row["corrected"]),
        "verdict": f"{OPEN} with {repetitions}" if pick.verdict == OPEN else pick.verdict,
        "trial_ids": row["trial_ids"].split(),
    }


def claims_markdown(values: dict[str, Any]) -> list[str]:
    """Returns the lines of answer.md up to the last claim."""
    lines = [f"# The answer: {for_markdown(values['dataset'])}", ""]
    for place, claim in enumerate(values["claims"], 1):
        lines += [
            f"## {place}. {for_markdown(claim['title'])}: {claim['verdict']}",
            "",
            for_markdown(claim["text"]),
            "",
        ]
        if claim["missing"]:
            lines += [f"These results do not test it: {claim['missing']}.", ""]
            continue
        lines += [f"| {values['measure']} | Mean | 95 % interval | Above 0 in | p above | p below |"]
        lines += ["| :-- | --: | --: | --: | --: | --: |"]
        lines += [
            pipes([part[key] for key in ("label", "mean", "interval", "wins", "above", "below")])
            for part in claim["parts"]
        ]
        lines += ["", _trials(claim["trial_ids"]), ""]
    return lines


def rules_markdown(values: dict[str, Any]) -> list[str]:
    """Returns the lines of answer.md from the rules on."""
    return ["## Rules", "", *(f"- {rule}" for rule in values["rules"]), ""]


def _markdown(values: dict[str, Any]) -> str:
    lines = claims_markdown(values)
    lines += [f"## {len(values['claims']) + 1}. Beyond: what to pick at each proportion", "", PICKS, ""]
    lines += [f"| {' | '.join(PICKS_HEAD)} |"]
    lines += ["| :-- | :-- | :-- | --: | --: | --: | :-- |"]
    columns = ("proportion", "system", "baseline", "difference", "interval", "corrected", "verdict")
    lines += [pipes([pick[column] for column in columns]) for pick in values["picks"]]
    ids = list(dict.fromkeys(trial for pick in values["picks"] for trial in pick["trial_ids"]))
    return "\n".join([*lines, "", _trials(ids), "", *rules_markdown(values)])


def _trials(trial_ids: list[str]) -> str:
    return f"<details><summary>{len(trial_ids)} trials</summary>\n\n`{' '.join(trial_ids)}`\n\n</details>"


PICKS_HEAD = (
    *("Labels", "Best with all images", "Best with labels alone"),
    *("Difference", "95 % interval", "Corrected p", "Pick is"),
)
PICKS = (
    "The best mean among the systems that learn from all images, and among those that learn from labels alone. The "
    "pair was chosen by these same numbers, so only its p after the max-T correction over all comparisons decides."
)
