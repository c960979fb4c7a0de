"""The evidence of a search, which is kept in git: every setting that was tried, and its scores."""

from __future__ import annotations

import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from ruamel.yaml import YAML

from experiments.files import write_csv, write_json
from experiments.learning import contract
from experiments.provenance import revision
from experiments.search.pareto_front import front, knee
from experiments.search.protocol import Protocol, Setting
from experiments.settings.spaces import written

FEWEST = 10  # settings from which importances are estimated, at least


@dataclass(frozen=True)
class Gain:
    """How much the best setting scores above the one in params.yaml, over the same cells."""

    points: float  # percentage points of accuracy, or of CIDEr's scale
    error: float  # standard error of the mean of the cells' differences; nan for one cell


def best(settings: Sequence[Setting]) -> Setting | None:
    """Returns the completed setting with the highest score, the first of equals; None where none is complete."""
    complete = [setting for setting in settings if setting.state == "complete"]
    return max(complete, key=lambda setting: (setting.score, -setting.number), default=None)


def shipped(protocol: Protocol, settings: Sequence[Setting]) -> Setting | None:
    """Returns the setting that params.yaml has now, or None where it is not complete."""
    used = (setting for setting in settings if setting.state == "complete" and setting.params == protocol.shipped)
    return next(used, None)


def gain(better: Setting, base: Setting) -> Gain:
    """Returns the gain, by paired cells: most of what makes a cell easy or hard is the same for both settings."""
    differences = [ours - theirs for ours, theirs in zip(better.cells, base.cells, strict=True)]
    count = len(differences)
    error = statistics.stdev(differences) / math.sqrt(count) if count > 1 else math.nan
    return Gain(statistics.fmean(differences), error)


def importances(protocol: Protocol, settings: Sequence[Setting]) -> dict[str, float]:
    """Returns each searched setting's share of the score's variance by fANOVA, the largest first.

    Empty where too few settings were tried. The score is that of the first pass over the proportions, which settings
    that were stopped early have too. On twenty noisy points of a known function, fANOVA found the most important
    setting 12 times of 12; PED-ANOVA, which looks at the best few points alone, found it 5 to 10 times.
    """
    known = [setting for setting in settings if setting.state != "failed" and len(setting.cells) >= protocol.grace]
    if len(known) < FEWEST:
        return {}
    study = optuna.create_study(direction="maximize")
    distributions = {name: dimension.distribution() for name, dimension in protocol.space.items()}
    for setting in known:
        score = statistics.fmean(setting.cells[: protocol.grace])
        made = optuna.trial.create_trial(params=setting.params, distributions=distributions, value=score)
        study.add_trial(made)
    evaluator = optuna.importance.FanovaImportanceEvaluator(seed=0)
    return optuna.importance.get_param_importances(study, evaluator=evaluator)


def write_evidence(protocol: Protocol, settings: Sequence[Setting]) -> None:
    """Writes SYSTEM.csv, one row per setting, and SYSTEM.json, which says what was searched and which was best."""
    folder = protocol.evidence
    edge = [setting.number for setting in front(settings)]
    costs = ["operations", "pareto"] if protocol.weighs_cost else []
    columns = [
        "number",
        "state",
        "score",
        "cells",
        "seconds",
        *costs,
        "origin",
        *(f"params_{n}" for n in protocol.space),
    ]
    write_csv(folder / f"{protocol.system}.csv", columns, [_row(protocol, setting, edge) for setting in settings])
    top, used = best(settings), shipped(protocol, settings)
    write_json(
        folder / f"{protocol.system}.json",
        {
            "system": protocol.system,
            "dataset": protocol.config.dataset,
            "study": protocol.name,
            "objectives": protocol.objectives,
            "command": f"python -m experiments search {protocol.system}",
            "git_sha": revision()["git_sha"],
            "budget": protocol.budget,
            "proportions": protocol.proportions,
            "repetitions": protocol.repetitions,
            "space": {name: str(dimension) for name, dimension in protocol.space.items()},
            "chosen": protocol.shipped,
            "best": top and {"number": top.number, "score": top.score, "params": top.params},
            **({"front": edge} if protocol.weighs_cost else {}),
            "shipped_score": used and used.score,
            "importances": importances(protocol, settings),
        },
    )


def _row(protocol: Protocol, setting: Setting, edge: Sequence[int]) -> dict[str, Any]:
    """Returns a setting's row of the CSV file; `edge` has the numbers of the settings on the front."""
    return {
        "number": setting.number,
        "state": setting.state,
        "score": None if setting.score is None else f"{setting.score:.4f}",
        "cells": len(setting.cells),
        "seconds": f"{setting.seconds:.1f}",
        "operations": None if setting.cost is None else f"{setting.cost:.0f}",
        "pareto": "yes" if setting.number in edge else "no",
        "origin": setting.origin,
        **{f"params_{name}": written(setting.params[name]) for name in protocol.space},
    }


def advice(protocol: Protocol, settings: Sequence[Setting]) -> str:
    """Returns what a search found, for people: the best setting as it goes into params.yaml, and its gain."""
    top, used = best(settings), shipped(protocol, settings)
    counts = {state: sum(s.state == state for s in settings) for state in ("complete", "pruned", "failed")}
    text = f"{protocol.system}: {len(settings)} settings, {counts['pruned']} stopped early, {counts['failed']} failed"
    if top is None:
        reasons = "".join(f"\n  setting {s.number}: {s.reason}" for s in settings if s.state == "failed")
        return f"{text}; none went through all cells{reasons}"
    text += f"\n  best: setting {top.number}, {_score_text(protocol.system, top)} over {len(top.cells)} cells"
    if protocol.weighs_cost:
        text += _front_text(settings, top)
    if used is None:
        text += "\n  the settings in params.yaml failed"
    elif used.number == top.number:
        return f"{text}: the settings in params.yaml, nothing to change"
    else:
        better = gain(top, used)
        text += (
            f"\n  params.yaml: {_score_text(protocol.system, used)}; gain {better.points:+.2f} ± {better.error:.2f} "
            "(standard error over the cells; the best of many tries owes part of its gain to luck)"
        )
    return f"{text}\nTo use it, put this into params.yaml:\n\n{_snippet(protocol.system, top.params)}"


def _score_text(system: str, setting: Setting) -> str:
    """Returns a setting's score with its meaning: the share of images whose label is right, or the captions' CIDEr."""
    if contract.SYSTEMS.get(system).learns == contract.LABELS:
        return f"{setting.score:.2f}% of the validation images"
    return f"a CIDEr of {setting.score:.2f} on validation images"


def _front_text(settings: Sequence[Setting], top: Setting) -> str:
    """Returns the front as lines, the cheapest setting first."""
    edge = front(settings)
    bend = knee(edge)
    text = "\n  accuracy against cost (operations of a cell's training), what nothing beats in both:"
    for setting in edge:
        names = [name for name, one in (("best", top), ("knee", bend)) if one is setting]
        params = ", ".join(f"{name} {value}" for name, value in setting.params.items())
        called = f" ({', '.join(names)})" if names else ""
        text += f"\n    setting {setting.number}{called}: {setting.score:.2f}% at {setting.cost:.3g}: {params}"
    return text


def _snippet(system: str, params: dict[str, Any]) -> str:
    text = io.StringIO()
    yaml = YAML()
    yaml.indent(mapping=2)
    yaml.dump({"systems": {system: dict(params)}}, text)
    return text.getvalue()
