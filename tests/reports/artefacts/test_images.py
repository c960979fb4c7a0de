"""Comparisons image by image, from the file of predictions to the section."""

from __future__ import annotations

import gzip

import numpy as np
import pandas as pd
import pytest

from reports.__main__ import build
from reports.analysis.mcnemar import mcnemar
from reports.analysis.two_way import two_way


@pytest.fixture(scope="module")
def said(rich):
    table = pd.read_csv(rich.results.with_name("predictions.csv.gz"))
    return table, {name: (table[name] == table["label"]).to_numpy() for name in table.columns[3:]}


def trial(world, rich, system, proportion, seed):
    return world.find(rich.rows, system, proportion, seed)["trial_id"]


def test_a_repetition_s_counts_and_p_are_those_of_its_two_trials(rich, rich_report, world, said):
    table = pd.read_csv(rich_report / "tables/mcnemar.csv")
    _, right = said
    (row,) = table[
        (table["system"] == "bsvm")
        & (table["baseline"] == "alexnet")
        & (table["proportion"] == 0.05)
        & (table["seed"] == 3)
    ].to_dict("records")
    ours, theirs = (right[trial(world, rich, system, 0.05, 3)] for system in ("bsvm", "alexnet"))
    assert (row["only_system"], row["only_baseline"]) == ((ours & ~theirs).sum(), (theirs & ~ours).sum())
    assert row["p"] == pytest.approx(mcnemar(row["only_system"], row["only_baseline"]))


def test_a_difference_is_over_all_repetitions_and_images(rich, rich_report, world, said):
    table = pd.read_csv(rich_report / "tables/two-way.csv")
    _, right = said
    (row,) = table[
        (table["system"] == "tbsvm") & (table["baseline"] == "googlenet") & (table["proportion"] == 0.01)
    ].to_dict("records")
    sides = [
        np.array([right[trial(world, rich, system, 0.01, seed)] for seed in range(5)]).astype(float)
        for system in ("tbsvm", "googlenet")
    ]
    expected = two_way(100 * (sides[0] - sides[1]))
    assert row["n"] == 5
    assert [row[name] for name in ("mean", "low", "high", "p")] == pytest.approx(
        [expected.mean, expected.low, expected.high, expected.p]
    )
    assert row["trial_ids"].split()[0] == trial(world, rich, "tbsvm", 0.01, 0)


def test_a_repetition_with_a_missing_trial_is_left_out(rich_report):
    table = pd.read_csv(rich_report / "tables/two-way.csv")
    counts = table[table["system"] == "m2"].groupby("proportion")["n"].agg(["min", "max"])
    assert counts.loc[0.1].tolist() == [4, 4]
    assert counts.loc[0.05].tolist() == [5, 5]


def test_the_page_says_what_the_test_part_can_tell(rich_report):
    page = (rich_report / "index.html").read_text(encoding="utf-8")
    assert "With 500 test images McNemar’s test needs 6" in page
    assert "1.20 points" in page
    assert "too small" not in page


def test_a_small_test_part_is_said_to_be_too_small(world, tmp_path):
    rows = world.grid(2)
    sweep = world.write(tmp_path, rows)
    world.write_predictions(tmp_path / "predictions.csv.gz", rows, images=40)
    build(sweep.results, sweep.gallery, sweep.evidence, tmp_path / "out")
    assert "The test part is too small to tell these systems apart" in (tmp_path / "out/index.html").read_text()


def test_without_predictions_there_is_no_section(report):
    assert not (report / "tables/two-way.csv").exists()
    assert not (report / "tables/classes.csv").exists()
    assert "The test images" not in (report / "index.html").read_text(encoding="utf-8")


def test_one_repetition_has_counts_but_no_interval(world, tmp_path):
    rows = world.grid(1)
    sweep = world.write(tmp_path, rows)
    world.write_predictions(tmp_path / "predictions.csv.gz", rows)
    build(sweep.results, sweep.gallery, sweep.evidence, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out/tables/two-way.csv")
    assert table["low"].isna().all()
    assert table["only_system"].notna().all()
    content = gzip.decompress((tmp_path / "predictions.csv.gz").read_bytes()).decode()
    assert content.count("\n") == 501
