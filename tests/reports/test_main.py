"""`python -m reports` from the outside: files, bytes, messages, exit codes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from reports.__main__ import app, build

ROOT = Path(__file__).parents[2]
TABLES = ("table1", "published", "differences", "differences-pooled", "detectable", "calibration", "bound")
STUDIES = ("averaging", "estimators-gradient", "estimators-training", "search")
IMAGES = ("two-way", "classes", "mistakes")  # tables made from the predictions of test images
FIGURE = ("png", "svg", "pdf")
FILES = {
    "index.html",
    "metrics.json",
    "plots/accuracy.csv",
    "tables/xi.csv",
    "answer.html",
    "answer.md",
    *(f"tables/{stem}.{kind}" for stem in TABLES for kind in ("csv", "md", "tex", "html")),
    *(f"figures/{stem}.{kind}" for stem in ("figure1", "differences", "published", "xi") for kind in FIGURE),
}
MORE = {
    *("tables/mcnemar.csv", "tables/confusion.csv"),
    *(f"tables/{stem}.{kind}" for stem in (*STUDIES, *IMAGES) for kind in ("csv", "md", "tex", "html")),
    *(f"figures/{stem}.{kind}" for stem in ("averaging", "confusion", "estimators", "search") for kind in FIGURE),
}


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_report_is_these_files_and_the_same_bytes_again(report, sweep_files, tmp_path):
    first = contents(report)
    assert set(first) == FILES
    build(sweep_files.results, sweep_files.gallery, sweep_files.evidence, tmp_path)
    assert contents(tmp_path) == first


def test_every_study_adds_its_files_and_no_other(rich_report):
    assert set(contents(rich_report)) == FILES | MORE


def test_metrics_are_the_table_s_means(report, sweep_files, world):
    metrics = json.loads((report / "metrics.json").read_text())
    assert metrics["trials"] == {"done": 42, "failed": 1, "missing": 3}
    assert list(metrics) == ["alexnet", "googlenet", "bsvm", "softmax", "trials"]
    values = [world.find(sweep_files.rows, "bsvm", 0.01, seed)["top1"] for seed in (0, 1)]
    assert metrics["bsvm"]["1%"]["top1"] == pytest.approx(sum(values) / 2, abs=1e-4)
    assert metrics["softmax"]["30%"] == {}  # missing has no number, not even a null or a zero


def test_the_plot_s_csv_has_a_row_a_point_and_leaves_gaps_empty(report):
    rows = list(csv.DictReader((report / "plots" / "accuracy.csv").open()))
    assert list(rows[0]) == ["labelled_percent", "system", "top1", "top5"]
    assert len(rows) == 4 * 5
    gaps = [(row["system"], row["labelled_percent"]) for row in rows if not row["top1"]]
    assert gaps == [("Softmax (ours)", "30")]


def test_the_xi_study_can_be_traced(report, world, sweep_files):
    rows = list(csv.DictReader((report / "tables" / "xi.csv").open()))
    top1 = [row for row in rows if row["metric"] == "top1"]
    assert [(row["xi"], float(row["xi_value"]), row["n"]) for row in top1] == [
        ("0", 0, "2"),
        ("1", 1, "1"),
        ("10", 10, "2"),
        ("auto", 784, "2"),
    ]
    assert top1[1]["trial_ids"] == world.find(sweep_files.rows, "bsvm", 0.1, 0, xi=1.0)["trial_id"]


def test_the_command_says_what_it_wrote(command):
    out, result = command
    assert result.exit_code == 0
    *paths, last = result.stdout.splitlines()
    assert {Path(path) for path in paths} == {out / name for name in FILES}
    assert last == "46 trials: 42 done, 1 failed, 3 missing"


@pytest.mark.parametrize(
    ("results", "gallery", "expected"),
    [
        ("no.csv", None, "no.csv does not exist; `python -m experiments run` writes it"),
        (None, "no", "sweep.json does not exist; `python -m experiments run` writes it"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(sweep_files, tmp_path, results, gallery, expected):
    arguments = ["--results", tmp_path / results if results else sweep_files.results]
    arguments += ["--gallery", tmp_path / gallery if gallery else sweep_files.gallery, "--out", tmp_path / "out"]
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert result.exit_code == 2
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("error: ")
    assert expected in line
    assert list(tmp_path.iterdir()) == []  # nothing half-written


def test_help_teaches():
    result = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "100", "TERM": "dumb"})
    assert result.exit_code == 0
    for word in ("--results", "--gallery", "--out", "index.html", "results.csv", "Example"):
        assert word in result.stdout


def test_reports_stands_alone():
    """A report needs neither the data, nor the model, nor what runs the trials."""
    code = (
        "import sys, reports.__main__ as m; m.makers();"
        "print([n for n in ('data', 'vae', 'experiments', 'torch', 'ray', 'mlflow') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
