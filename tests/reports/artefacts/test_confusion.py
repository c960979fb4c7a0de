"""Classes and mistakes of a made-up sweep, in which 4 is taken for 9."""

from __future__ import annotations

import pandas as pd
import pytest

from reports.__main__ import build


def test_every_system_s_accuracy_by_class_has_its_mean(rich, rich_report):
    """With equally many images of each class, the mean over classes is the accuracy over all images."""
    table = pd.read_csv(rich_report / "tables/classes.csv")
    assert set(table["system"]) == {row["system"] for row in rich.rows}
    means = table.groupby(["system", "proportion"])["accuracy"].mean()
    results = pd.read_csv(rich.results)
    main = results[(results["xi"].isna() | (results["xi"] == "auto")) & (results["status"] == "done")]
    expected = main.groupby(["system", "proportion"])["top1"].mean()
    assert means.to_dict() == pytest.approx(expected.to_dict(), abs=0.1)


def test_the_most_frequent_mistake_is_found(rich_report):
    table = pd.read_csv(rich_report / "tables/mistakes.csv")
    first = table.groupby(["system", "proportion"]).head(1)
    few = first[first["proportion"] == 0.01]
    assert set(zip(few["class"], few["taken_for"], strict=True)) == {("class e", "class j")}
    assert set(table["system"]) == {"tbsvm", "alexnet"}  # the best of each kind


def test_the_counts_are_all_images_of_all_repetitions(rich_report):
    table = pd.read_csv(rich_report / "tables/confusion.csv")
    sums = table.groupby(["system", "proportion"])["images"].sum()
    assert sums.to_dict() == pytest.approx(dict.fromkeys(sums.index, 500.0))


def test_few_classes_are_drawn(rich_report):
    assert (rich_report / "figures/confusion.svg").exists()
    assert 'id="confusion-' in (rich_report / "index.html").read_text(encoding="utf-8")


def test_of_many_classes_the_worst_are_listed(world, tmp_path):
    rows = world.grid(1)
    sweep = world.write(tmp_path, rows)
    world.write_predictions(tmp_path / "predictions.csv.gz", rows, classes=40, images=400)
    build(sweep.results, sweep.gallery, sweep.evidence, tmp_path / "out")
    assert not (tmp_path / "out/figures/confusion.svg").exists()
    assert "the 15 worst of 40 classes" in (tmp_path / "out/index.html").read_text(encoding="utf-8")
    tidy = pd.read_csv(tmp_path / "out/tables/classes.csv")
    assert tidy["class"].nunique() == 40
    shown = (tmp_path / "out/tables/classes.md").read_text(encoding="utf-8").splitlines()
    listed = [line.split("|")[1].strip() for line in shown if line.startswith("| class ")]
    best = tidy[tidy["system"].isin(["bsvm", "googlenet", "alexnet"])]
    assert len(listed) == 15
    assert best[best["class"].isin(listed)]["accuracy"].mean() < best[~best["class"].isin(listed)]["accuracy"].mean()
