"""subsets.csv: read, or refused with one message that names the line."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from reports.errors import UserError
from reports.inputs.results import read_results
from reports.inputs.subsets import read_subsets


def changed(path: Path, out: Path, column: str, value: str, row: int = 0) -> Path:
    """A copy of the CSV file with one value changed."""
    raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    raw.loc[row, column] = value
    raw.to_csv(out / path.name, index=False)
    return out / path.name


def test_subsets_know_their_trials(captioned):
    results = read_results(captioned.results)
    subsets = read_subsets(captioned.results.with_name("subsets.csv"), results)
    assert len(subsets) == 2 * (results["status"] == "done").sum()
    point = ["system", "proportion", "xi", "seed"]
    both = subsets.merge(results, on="trial_id", suffixes=("", "_of_trial"))
    for column in point:
        assert (both[column] == both[f"{column}_of_trial"]).all()


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("subset", "seen", "line 2: subset 'seen' is neither same nor unseen"),
        ("subset", "unseen", "line 3: subset 'unseen' is there twice for one trial"),
        ("trial_id", "0", "line 2: trial_id '0' is no done trial of the results"),
        ("images", "-1", "line 2: images -1 is below 0"),
        ("images", "some", "line 2: images 'some' is not a number"),
        ("bleu4", "", "line 2: bleu4 nan is not a number in [0, 1]"),
    ],
)
def test_a_wrong_subset_is_named_with_its_line(captioned, tmp_path, column, value, expected):
    path = changed(captioned.results.with_name("subsets.csv"), tmp_path, column, value)
    with pytest.raises(UserError) as caught:
        read_subsets(path, read_results(captioned.results))
    assert f"{path}, {expected}" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_subsets_may_be_absent_empty_or_without_images(captioned, tmp_path):
    results = read_results(captioned.results)
    whole = captioned.results.with_name("subsets.csv").read_text()
    path = tmp_path / "subsets.csv"
    assert read_subsets(path, results).empty
    for content in ("", whole.splitlines()[0] + "\n"):
        path.write_text(content)
        assert read_subsets(path, results).empty
    trial = next(row["trial_id"] for row in captioned.rows if row["status"] == "done")
    path.write_text(f"{whole.splitlines()[0]}\n{trial},same,0,,,,,,,,\n")
    assert read_subsets(path, results).empty
