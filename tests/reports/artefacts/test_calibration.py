"""Calibration before and after temperature scaling."""

from __future__ import annotations

import csv

import pandas as pd

from reports.__main__ import build


def test_without_temperatures_the_table_is_about_the_plain_error_alone(report):
    assert set(pd.read_csv(report / "tables/calibration.csv")["metric"]) == {
        "ece",
        "train_seconds",
        "test_ms_per_image",
    }
    assert "after temperature scaling" not in (report / "tables/calibration.md").read_text(encoding="utf-8")


def test_both_errors_and_the_temperature_are_shown(world, tmp_path):
    rows = world.grid(2)
    sweep = world.write(tmp_path, rows)
    scaled = [row | {"ece_scaled": row["ece"] / 4, "temperature": 1.5 + row["seed"]} for row in rows]
    scaled[0] |= {"ece_scaled": "", "temperature": ""}  # of an earlier version
    with sweep.results.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(scaled[0]))
        writer.writeheader()
        writer.writerows(scaled)
    build(sweep.results, sweep.gallery, sweep.evidence, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out/tables/calibration.csv").set_index(["metric", "system", "proportion"])
    assert table.loc[("temperature", "bsvm", 1.0), "mean"] == 2.0
    before, after = (table.loc[(name, "bsvm", 1.0), "mean"] for name in ("ece", "ece_scaled"))
    assert abs(after - before / 4) < 1e-9
    assert table.loc[("ece_scaled", rows[0]["system"], rows[0]["proportion"]), "n"] == 1
