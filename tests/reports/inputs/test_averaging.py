"""averaging.csv: read into a checked table, or refused with one message."""

from __future__ import annotations

import pytest

from reports.errors import UserError
from reports.inputs.averaging import read_averaging
from reports.inputs.results import read_results


def test_averaging_comes_with_its_trials_grid_points(rich):
    results = read_results(rich.results)
    table = read_averaging(rich.results.with_name("averaging.csv"), results)
    assert len(table) == 4 * (2 * 5 + 5 + 3) * 5  # N_s × (proportions of three systems, and the ξ study's)
    assert set(table["system"]) == {"bsvm", "softmax", "tbsvm"}
    assert table["draws"].dtype == "Int64"
    done = results.set_index("trial_id")
    assert (table["seed"].to_numpy() == done.loc[table["trial_id"], "seed"].to_numpy()).all()


def test_no_averaging_is_no_rows(rich, sweep_files, tmp_path):
    results = read_results(sweep_files.results)
    header = tmp_path / "averaging.csv"
    header.write_text("trial_id,draws,top1,top5,ece,ms_per_image\n")
    for path in (header, tmp_path / "none.csv"):
        assert read_averaging(path, results).empty


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("trial_id", "0" * 16, "line 2: trial_id '0000000000000000' is no done trial of the results"),
        ("draws", "1", "line 3: draws 1 is there twice for one trial"),
        ("draws", "-1", "draws -1 is below 0"),
        ("draws", "", "draws '' is empty"),
        ("top1", "101", "top1 101.0 is not a percentage"),
        ("ece", "x", "ece 'x' is not a number"),
    ],
)
def test_wrong_averaging_is_refused(rich, world, tmp_path, column, value, expected):
    rows = world.averaging(rich.rows)
    rows[0][column] = value
    world.write_table(tmp_path / "averaging.csv", rows)
    with pytest.raises(UserError) as caught:
        read_averaging(tmp_path / "averaging.csv", read_results(rich.results))
    assert expected in str(caught.value)
