"""The files of a made-up sweep: results.csv with gaps, sweep.json, pictures, and the evidence."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
import random
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from reports.__main__ import app, build
from tests.reports import captioned as made

HEADER = [
    *["trial_id", "dataset", "system", "proportion", "xi", "seed", "labelled", "status", "top1", "top5", "ece"],
    *["elbo", "epochs", "train_seconds", "images_per_second", "test_ms_per_image", "device", "git_sha"],
    *["mlflow_run_id", "xi_value", "kl_switches", "reason"],
]
PROPORTIONS = (0.01, 0.05, 0.1, 0.3, 1.0)
TOP1 = {  # made up, by system: around what a small sweep gives
    "alexnet": (70.1, 88.9, 92.8, 95.9, 97.9),
    "googlenet": (66.4, 87.6, 92.9, 96.3, 98.3),
    "bsvm": (78.6, 92.1, 94.6, 96.2, 97.9),
    "softmax": (76.9, 91.2, 94.1, 95.8, 97.7),
}
XI_STUDY = {0.0: 71.2, 1.0: 88.3, 10.0: 93.2}
SHA = "3f1c9e02b7d64a5598aa0d7c41e6b2f08d9c1a77"


def _row(system: str, proportion: float, xi: float | str | None, seed: int, mean: float) -> dict[str, object]:
    ours = xi is not None
    key = json.dumps(["mnist-5k", system, proportion, xi, seed])
    draw = random.Random(key)
    top1 = round(mean + draw.gauss(0, 0.35 / proportion**0.4), 4)
    value = 784 / (10 * proportion) if xi == "auto" else xi
    return {
        "trial_id": hashlib.sha256(key.encode()).hexdigest()[:16],
        "dataset": "mnist-5k",
        "system": system,
        "proportion": proportion,
        "xi": "" if xi is None else xi,
        "seed": seed,
        "labelled": max(10, round(3500 * proportion)),
        "status": "done",
        "top1": top1,
        "top5": round(100 - (100 - top1) / 8, 4),
        "ece": round((100 - top1) / 5, 4),
        "elbo": round(420 + draw.gauss(0, 8), 3) if ours else "",
        "epochs": 40,
        "train_seconds": round(draw.uniform(8, 25), 3),
        "images_per_second": round(draw.uniform(1400, 5200), 1),
        "test_ms_per_image": round(draw.uniform(0.1, 0.9), 4),
        "device": "cpu",
        "git_sha": SHA,
        "mlflow_run_id": hashlib.md5(key.encode()).hexdigest(),
        "xi_value": value if ours else "",
        "kl_switches": round(95 + draw.gauss(0, 4), 3) if ours else "",
        "reason": "",
    }


def grid(repetitions: int = 2) -> list[dict[str, object]]:
    """Returns the rows of the default grid with its ξ study, every trial done."""
    rows = [
        _row(system, proportion, "auto" if system in ("bsvm", "softmax") else None, seed, mean)
        for system, means in TOP1.items()
        for proportion, mean in zip(PROPORTIONS, means, strict=True)
        for seed in range(repetitions)
    ]
    study = [_row("bsvm", 0.1, xi, seed, mean) for xi, mean in XI_STUDY.items() for seed in range(repetitions)]
    return rows + study


def lose(row: dict[str, object], status: str, reason: str) -> None:
    """Turns the row of a finished trial into that of one that failed or never ran."""
    kept = {*HEADER[:7], "xi_value"}
    row.update({column: "" for column in row if column not in kept}, status=status, reason=reason)


def find(rows: list[dict[str, object]], system: str, proportion: float, seed: int, xi: object = None) -> dict:
    """Returns the row of that grid point; without `xi`, the one at the system's usual ξ."""
    usual = ("auto", "") if xi is None else (xi,)
    (row,) = (
        row
        for row in rows
        if (row["system"], row["proportion"], row["seed"]) == (system, proportion, seed) and row["xi"] in usual
    )
    return row


BEYOND = {"tbsvm": ("bsvm", 0.8), "m2": ("softmax", -1.4), "pseudo": ("alexnet", 0.9)}


def beyond(repetitions: int = 2) -> list[dict[str, object]]:
    """Returns rows of the systems beyond the paper, each near those of a system of the paper."""
    return [
        _row(system, proportion, None if system == "pseudo" else "auto", seed, mean + gain * (1 - proportion))
        for system, (like, gain) in BEYOND.items()
        for proportion, mean in zip(PROPORTIONS, TOP1[like], strict=True)
        for seed in range(repetitions)
    ]


@dataclass(frozen=True)
class SweepFiles:
    """The paths of a sweep's files, and the rows that they were written from."""

    results: Path
    gallery: Path
    evidence: Path
    rows: list[dict[str, object]]


def write_sweep(folder: Path, rows: list[dict[str, object]]) -> SweepFiles:
    """Writes results.csv and gallery/ under the folder, as a sweep with these rows writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "results.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, HEADER, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    gallery = folder / "gallery"
    gallery.mkdir(exist_ok=True)
    pictures = []
    for system in ("bsvm", "softmax"):
        if not any((row["system"], row["proportion"]) == (system, 1.0) for row in rows):
            continue
        trial_id = find(rows, system, 1.0, 0)["trial_id"]
        for kind in ("reconstructions", "samples"):
            file = f"{trial_id}-{kind}.png"
            _picture(kind).save(gallery / file)
            caption = {
                "reconstructions": "Test images above, reconstructions below.",
                "samples": "Drawn from the prior.",
            }
            pictures.append(
                {
                    "file": file,
                    "trial_id": trial_id,
                    "system": system,
                    "proportion": 1.0,
                    "xi": "auto",
                    "kind": kind,
                    "caption": caption[kind],
                }
            )
    (gallery / "sweep.json").write_text(json.dumps(_sweep(rows, pictures), indent=2), encoding="utf-8")
    return SweepFiles(folder / "results.csv", gallery, folder / "evidence", rows)


def _picture(kind: str) -> Image.Image:
    draw = random.Random(kind)
    rows = 4 if kind == "reconstructions" else 8
    picture = Image.new("L", (8 * 28, rows * 28))
    for tile in range(8 * rows):
        left, top = 28 * (tile % 8), 28 * (tile // 8)
        for _ in range(6):
            x, y = left + draw.randint(5, 17), top + draw.randint(4, 16)
            picture.paste(draw.randint(120, 255), (x, y, x + draw.randint(2, 6), y + draw.randint(2, 8)))
    return picture


def _sweep(rows: list[dict[str, object]], pictures: list[dict[str, object]]) -> dict[str, object]:
    counts = {status: sum(row["status"] == status for row in rows) for status in ("done", "failed", "missing")}
    return {
        "dataset": "mnist-5k",
        "profile": "default",
        "command": "python -m experiments run",
        "params": {
            "dataset": "mnist-5k",
            "data": {"source": None},
            "profile": {
                "systems": ["bsvm", "softmax", "alexnet", "googlenet"],
                "proportions": list(PROPORTIONS),
                "xi": ["auto"],
                "repetitions": 2,
                "xi_study": {"systems": ["bsvm"], "proportions": [0.1], "xi": [0, 1, 10]},
            },
            "vae": {
                "estimator": "exact",
                "q": "factorised",
                "epochs": 40,
                "batch": 128,
                "learning_rate": 0.001,
            },
            "supervised": {"epochs": 60, "dropout": 0.5, "weight_decay": 0.0005},
            "systems": {"bsvm": {"samples": 16}, "softmax": {"samples": 16}, "alexnet": {}, "googlenet": {}},
        },
        "versions": {
            "python": "3.11.2",
            "torch": "2.13.0",
            "ray": "2.60.0",
            "mlflow": "3.17.2",
            "numpy": "2.4.6",
        },
        "git_sha": SHA,
        "git_dirty": False,
        "machine": {
            "processor": "x86_64",
            "cores": 2,
            "memory_gib": 7.7,
            "gpus": [],
            "platform": "Linux-6.1",
        },
        "workers": 2,
        "started": "2026-11-22T09:14:03+00:00",
        "finished": "2026-11-22T09:22:47+00:00",
        "wall_seconds": 524.2,
        "trial_seconds": 961.8,
        "trials": counts | {"reused": 0},
        "pictures": pictures,
    }


@pytest.fixture(scope="session")
def sweep_files(tmp_path_factory: pytest.TempPathFactory) -> SweepFiles:
    """A sweep with gaps: alexnet failed once at 5 %, softmax never ran at 30 %, one ξ trial is missing."""
    rows = grid()
    lose(find(rows, "alexnet", 0.05, 1), "failed", "the loss of epoch 3 is not finite (nan) <0.05>")
    for seed in (0, 1):
        lose(find(rows, "softmax", 0.3, seed), "missing", "")
    lose(find(rows, "bsvm", 0.1, 1, xi=1.0), "missing", "")
    return write_sweep(tmp_path_factory.mktemp("sweep"), rows)


def write_table(path: Path, rows: list[dict[str, object]]) -> None:
    """Writes a CSV file with these rows and the columns of the first one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def averaging(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Returns averaging.csv of the done trials that average over codes: one code is worst, fifty are best."""
    shifts = {0: -0.2, 1: -2.0, 10: 0.0, 50: 0.1}
    return [
        {
            "trial_id": row["trial_id"],
            "draws": draws,
            "top1": round(min(100.0, row["top1"] + shift), 4),
            "top5": row["top5"],
            "ece": round(3 - shift, 4),
            "ms_per_image": 0.1 + draws / 50,
        }
        for row in rows
        if row["status"] == "done" and row["system"] in ("bsvm", "softmax", "tbsvm")
        for draws, shift in shifts.items()
    ]


def write_predictions(path: Path, rows: list[dict[str, object]], classes: int = 10, images: int = 500) -> None:
    """Writes predictions.csv.gz of the done trials: right about as many images as they say, the wrong ones at random.

    Class 4 is taken for class 9 more often than for any other.
    """
    labels = [image % classes for image in range(images)]
    columns: dict[str, list[int]] = {}
    for row in rows:
        if row["status"] != "done":
            continue
        draw = random.Random(f"predictions of {row['trial_id']}")
        said = list(labels)
        for image in draw.sample(range(images), images - round(images * row["top1"] / 100)):
            favourite = 9 if labels[image] == 4 and classes == 10 and draw.random() < 0.7 else None
            others = [place for place in range(classes) if place != labels[image]]
            said[image] = draw.choice(others) if favourite is None else favourite
        columns[str(row["trial_id"])] = said
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["image", "label", "class", *columns])
    names = [f"class {chr(97 + label % 26)}{label // 26 or ''}" for label in labels]
    writer.writerows(zip(range(images), labels, names, *columns.values(), strict=True))
    path.write_bytes(gzip.compress(table.getvalue().encode(), mtime=0))


def write_evidence(folder: Path) -> None:
    """Writes the evidence, both files about estimators and one search, each with every kind of row."""
    kinds = [("exact", "factorised", 0), ("nvil", "factorised", 1), ("nvil", "shared", 1), ("gumbel", "shared", 1)]
    kinds += [("rloo", "factorised", 2), ("rloo", "factorised", 4)]
    gradient = [
        {"estimator": estimator, "reading": reading, "stage": stage, "draws": draws}
        | {"bias": 0.0 if estimator == "exact" else 0.03 * (stage + 1), "bias_se": "" if estimator == "exact" else 0.02}
        | {"variance": 10.0 * draws, "ms_per_step": 9.5}
        for estimator, reading, draws in kinds
        for stage in (0, 8)
    ]
    write_table(folder / "estimators-gradient.csv", gradient)
    training = [
        {"estimator": estimator, "reading": reading, "seed": seed, "seconds": 60.5, "steps": 900 + seed}
        | {"elbo": 300.0 + seed, "kl_switches": 50.0 + seed, "kl_code": 60.0, "top1": 92.0 + seed}
        for estimator, reading, _ in kinds[:5]
        for seed in range(3)
    ]
    write_table(folder / "estimators-training.csv", training)
    states = ["complete", "pruned", "complete", "failed"]
    trials = [
        {
            "number": number,
            "state": state,
            "score": "" if state == "failed" else 90.0 + number,
            "cells": 3,
            "seconds": 5,
        }
        | {"params_learning_rate": 0.001, "params_dropout": ""}
        for number, state in enumerate(states)
    ]
    write_table(folder / "search" / "mnist-5k" / "alexnet.csv", trials)
    document = {"system": "alexnet", "command": "python -m experiments search alexnet", "git_sha": SHA}
    document |= {"budget": "4 trials", "proportions": [0.01, 0.1], "repetitions": [100]}
    document |= {"space": {"learning_rate": "1e-4 to 1e-1, log", "dropout": "0 to 0.7"}}
    document |= {"chosen": {"learning_rate": 0.00217, "dropout": 0.4}, "best": {"number": 2, "score": 92.0}}
    document |= {"shipped_score": None, "importances": {"learning_rate": 0.9, "dropout": 0.1}}
    (folder / "search" / "mnist-5k" / "alexnet.json").write_text(json.dumps(document), encoding="utf-8")


@pytest.fixture(scope="session")
def rich(tmp_path_factory: pytest.TempPathFactory) -> SweepFiles:
    """Five repetitions of everything, with averaging.csv, predictions.csv.gz and all evidence; one trial failed."""
    rows = grid(5) + beyond(5)
    lose(find(rows, "m2", 0.1, 3), "failed", "out of memory")
    folder = tmp_path_factory.mktemp("rich")
    sweep = write_sweep(folder, rows)
    write_table(folder / "averaging.csv", averaging(rows))
    write_predictions(folder / "predictions.csv.gz", rows)
    write_evidence(sweep.evidence)
    return sweep


@pytest.fixture(scope="session")
def rich_report(rich: SweepFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the report on that sweep."""
    out = tmp_path_factory.mktemp("rich-report")
    build(rich.results, rich.gallery, rich.evidence, out)
    return out


def write_captioned(folder: Path, rows: list[dict[str, object]], images: int = 10) -> SweepFiles:
    """Writes the files of a sweep over captioned images with these rows."""
    sweep = write_sweep(folder, [])
    write_table(sweep.results, rows)
    if subsets := made.subset_rows(rows):
        write_table(folder / "subsets.csv", subsets)
    facts = _sweep(rows, []) | {"dataset": "shapes", "profile": "captions"}
    (sweep.gallery / "sweep.json").write_text(json.dumps(facts), encoding="utf-8")
    made.write_pictures(sweep.gallery, made.captions(rows, images))
    return SweepFiles(sweep.results, sweep.gallery, sweep.evidence, rows)


@pytest.fixture(scope="session")
def captioned(tmp_path_factory: pytest.TempPathFactory) -> SweepFiles:
    """A sweep over captioned images: cnn-rnn failed once at 2 %, and neighbour never ran at 100 %.

    Ten images have captions.
    """
    rows = made.grid()
    lose(find(rows, "cnn-rnn", 0.02, 1), "failed", "the loss of epoch 2 is not finite (nan)")
    for seed in (0, 1):
        lose(find(rows, "neighbour", 1.0, seed), "missing", "")
    return write_captioned(tmp_path_factory.mktemp("captioned"), rows)


@pytest.fixture(scope="session")
def captioned_report(captioned: SweepFiles, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the report on that sweep."""
    out = tmp_path_factory.mktemp("captioned-report")
    build(captioned.results, captioned.gallery, captioned.evidence, out)
    return out


@pytest.fixture(scope="session")
def world() -> SimpleNamespace:
    """The functions above, for tests that make a sweep of their own."""
    functions = {"grid": grid, "beyond": beyond, "find": find, "lose": lose, "write": write_sweep, "header": HEADER}
    functions |= {"captioned": made, "write_captioned": write_captioned}
    functions |= {"write_predictions": write_predictions}
    return SimpleNamespace(**functions, averaging=averaging, write_table=write_table, write_evidence=write_evidence)


@pytest.fixture(scope="session")
def command(sweep_files: SweepFiles, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """The folder of the command's report on the sweep with gaps, and the command's output."""
    out = tmp_path_factory.mktemp("report")
    arguments = ["--results", sweep_files.results, "--gallery", sweep_files.gallery, "--evidence", sweep_files.evidence]
    arguments += ["--out", out]
    return out, CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="session")
def report(command: tuple[Path, Result]) -> Path:
    """The folder of that report."""
    return command[0]
