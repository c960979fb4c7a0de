"""Caption scores in results.csv: read, or refused with one message that names the line."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from reports.errors import UserError
from reports.inputs.results import read_results
from reports.result_kinds import CAPTIONS, LABELS, kind_of
from reports.scores import SCORES


def changed(path: Path, out: Path, column: str, value: str, row: int = 0) -> Path:
    """A copy of the CSV file with one value changed."""
    raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    raw.loc[row, column] = value
    raw.to_csv(out / path.name, index=False)
    return out / path.name


def test_the_kind_is_told_by_the_column_of_bleu4(captioned, sweep_files):
    assert kind_of(read_results(sweep_files.results)) is LABELS
    results = read_results(captioned.results)
    assert kind_of(results) is CAPTIONS
    assert (results[list(SCORES)].dtypes == "float64").all()
    by_id = results.set_index("trial_id")
    for row in captioned.rows:
        for score in SCORES:
            read = by_id.loc[row["trial_id"], score]
            assert math.isnan(read) if row[score] == "" else read == row[score]


@pytest.mark.parametrize(
    ("column", "value", "expected"),
    [
        ("bleu4", "1.2", "line 2: bleu4 1.2 is not a number in [0, 1]"),
        ("bleu1", "", "line 2: bleu1 nan is not a number in [0, 1]"),
        ("meteor", "-0.1", "line 2: meteor -0.1 is not a number in [0, 1]"),
        ("cider", "-1", "line 2: cider -1.0 is not a number ≥ 0"),
        ("perplexity", "0.5", "line 2: perplexity 0.5 is not a number ≥ 1"),
        ("perplexity", "inf", "line 2: perplexity 'inf' is not a number"),
        ("rouge_l", "high", "line 2: rouge_l 'high' is not a number"),
    ],
)
def test_a_wrong_score_is_named_with_its_line(captioned, tmp_path, column, value, expected):
    path = changed(captioned.results, tmp_path, column, value)
    with pytest.raises(UserError) as caught:
        read_results(path)
    assert f"{path}, {expected}; `python -m experiments run` writes it" == str(caught.value)


def test_a_missing_score_column_is_named(captioned, tmp_path):
    pd.read_csv(captioned.results).drop(columns=["cider", "meteor"]).to_csv(tmp_path / "results.csv", index=False)
    with pytest.raises(UserError, match=r"results.csv lacks the column\(s\) meteor, cider"):
        read_results(tmp_path / "results.csv")


def test_scores_of_trials_that_did_not_finish_are_not_asked_for(captioned):
    results = read_results(captioned.results)
    assert results.loc[results["status"] != "done", list(SCORES)].isna().all(axis=None)
