"""What a search leaves in git beside the settings it led to: every setting that was tried, and what came of it."""

from __future__ import annotations

import csv
import io
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from ruamel.yaml import YAML

from experiments.files import write_json, write_whole
from experiments.learning import contract
from experiments.provenance import revision
from experiments.search.front import front, knee
from experiments.search.protocol import Protocol, Setting
from experiments.settings.spaces import written

FEWEST = 10  # settings that importances are estimated from


@dataclass(frozen=True)
class Gain:
    """Percentage points of validation accuracy that the best setting has over the shipped one, over the same cells."""

    points: float
    error: float  # standard error of the mean of the cells' differences; nan for one cell


def best(settings: Sequence[Setting]) -> Setting | None:
    """The setting of the highest score among those that went through all cells, the first of equals."""
    complete = [setting for setting in settings if setting.state == "complete"]
    return max(complete, key=lambda setting: (setting.score, -setting.number), default=None)


def shipped(protocol: Protocol, settings: Sequence[Setting]) -> Setting | None:
    """The setting that params.yaml has now, if it went through all cells."""
    found = (setting for setting in settings if setting.state == "complete" and setting.params == protocol.shipped)
    return next(found, None)


def gain(better: Setting, base: Setting) -> Gain:
    """How much better, cell by cell: most of what makes a cell easy or hard is the same for both."""
    differences = [ours - theirs for ours, theirs in zip(better.cells, base.cells, strict=True)]
    count = len(differences)
    error = statistics.stdev(differences) / math.sqrt(count) if count > 1 else math.nan
    return Gain(statistics.fmean(differences), error)


def importances(protocol: Protocol, settings: Sequence[Setting]) -> dict[str, float]:
    """Each setting's share of what moves the score, by fANOVA, the largest first; empty where too few were tried.

    The score is that of the first pass over the proportions, which those that were stopped early have too. fANOVA and
    not PED-ANOVA: on twenty noisy points of a known function it found the setting that mattered most 12 times of 12,
    the other one, which looks at the best few alone, 5 to 10 times.
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


def write(protocol: Protocol, settings: Sequence[Setting]) -> None:
    """Writes SYSTEM.csv, one row a setting, and SYSTEM.json, what they were searched for and which was best."""
    folder, names = protocol.layout.evidence, list(protocol.space)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    edge = [setting.number for setting in front(settings)]
    costs = ["operations", "pareto"] if protocol.weighs_cost else []
    writer.writerow(["number", "state", "score", "cells", "seconds", *costs, "origin", *(f"params_{n}" for n in names)])
    for setting in settings:
        score = "" if setting.score is None else f"{setting.score:.4f}"
        row = [setting.number, setting.state, score, len(setting.cells), f"{setting.seconds:.1f}"]
        if protocol.weighs_cost:
            row += ["" if setting.cost is None else f"{setting.cost:.0f}", "yes" if setting.number in edge else "no"]
        writer.writerow([*row, setting.origin, *(written(setting.params[name]) for name in names)])
    write_whole(folder / f"{protocol.system}.csv", lambda stream: stream.write(text.getvalue().encode()))
    found, used = best(settings), shipped(protocol, settings)
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
            "best": found and {"number": found.number, "score": found.score, "params": found.params},
            **({"front": edge} if protocol.weighs_cost else {}),
            "shipped_score": used and used.score,
            "importances": importances(protocol, settings),
        },
    )


def _told(system: str, score: float) -> str:
    """A score with what it is: the share of images whose label is right, or the CIDEr of captions."""
    labels = contract.SYSTEMS.get(system).learns == contract.LABELS
    return f"{score:.2f}% of the validation images" if labels else f"a CIDEr of {score:.2f} on validation images"


def advice(protocol: Protocol, settings: Sequence[Setting]) -> str:
    """What a search found, for people: the best settings as they go into params.yaml, and what they gain."""
    found, used = best(settings), shipped(protocol, settings)
    counts = {state: sum(s.state == state for s in settings) for state in ("complete", "pruned", "failed")}
    told = f"{protocol.system}: {len(settings)} settings, {counts['pruned']} stopped early, {counts['failed']} failed"
    if found is None:
        reasons = "".join(f"\n  setting {s.number}: {s.reason}" for s in settings if s.state == "failed")
        return f"{told}; none went through all cells{reasons}"
    told += f"\n  best: setting {found.number}, {_told(protocol.system, found.score)} over {len(found.cells)} cells"
    if protocol.weighs_cost:
        told += _front(settings, found)
    if used is None:
        told += "\n  the settings in params.yaml failed"
    elif used.number == found.number:
        return f"{told}: the settings in params.yaml, nothing to change"
    else:
        better = gain(found, used)
        told += (
            f"\n  params.yaml: {_told(protocol.system, used.score)}; gain {better.points:+.2f} ± {better.error:.2f} "
            "(standard error over the cells; the best of many tries owes part of its gain to luck)"
        )
    return f"{told}\nTo use it, put this into params.yaml:\n\n{_snippet(protocol.system, found.params)}"


def _front(settings: Sequence[Setting], found: Setting) -> str:
    """The front as lines, the cheapest first."""
    edge = front(settings)
    bend, told = knee(edge), "\n  accuracy against cost (operations of a cell's training), what nothing beats in both:"
    for setting in edge:
        names = [name for name, one in (("best", found), ("knee", bend)) if one is setting]
        params = ", ".join(f"{name} {value}" for name, value in setting.params.items())
        called = f" ({', '.join(names)})" if names else ""
        told += f"\n    setting {setting.number}{called}: {setting.score:.2f}% at {setting.cost:.3g}: {params}"
    return told


def _snippet(system: str, params: dict[str, Any]) -> str:
    text = io.StringIO()
    yaml = YAML()
    yaml.indent(mapping=2)
    yaml.dump({"systems": {system: dict(params)}}, text)
    return text.getvalue()
