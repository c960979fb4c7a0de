"""Results about captions in: results.csv, subsets.csv, captions.json, or one message that says what is wrong where."""

from __future__ import annotations

import json
import math
import shutil
from pathlib import Path

import pandas as pd
import pytest

from reports.errors import UserError
from reports.inputs.captions import read_captions
from reports.inputs.results import read_results
from reports.inputs.sources import read_sources
from reports.inputs.subsets import read_subsets
from reports.kinds import CAPTIONS, LABELS, kind_of
from reports.scores import SCORES


def changed(path: Path, out: Path, column: str, value: str, row: int = 0) -> Path:
    """A copy of the CSV file with one value changed."""
    raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    raw.loc[row, column] = value
    raw.to_csv(out / path.name, index=False)
    return out / path.name


def test_the_kind_is_told_by_the_column_of_bleu4(captioned, leavings):
    assert kind_of(read_results(leavings.results)) is LABELS
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
        ("perplexity", "inf", "line 2: perplexity inf is not a number ≥ 1"),
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


@pytest.fixture
def gallery(captioned, tmp_path):
    return shutil.copytree(captioned.gallery, tmp_path / "gallery")


def test_captions_come_back_with_their_perplexity(captioned):
    captions = read_captions(captioned.gallery, read_results(captioned.results))
    assert len(captions.images) == 10
    ours, *_, neighbour = captions.images[0].said
    assert ours.perplexity == pytest.approx(math.exp(-ours.log_likelihood / ours.words))
    assert (neighbour.system, neighbour.perplexity) == ("neighbour", None)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda image: image.update(subset="new"), "images.0.subset: Input should be 'same' or 'unseen'"),
        (lambda image: image.update(references=[]), "images.0.references: List should have at least 1 item"),
        (lambda image: image["said"][0].update(words=0), "images.0.said.0.words: Input should be greater than"),
        (lambda image: image["said"][0].pop("text"), "images.0.said.0.text: Field required"),
        (lambda image: image["said"][1].update(trial_id="x"), "images.0.said.1: trial_id 'x' is no done trial"),
        (lambda image: image["said"].append(image["said"][0]), "a second text of 'caption' at 0.02"),
    ],
)
def test_wrong_captions_are_named_with_their_place(captioned, gallery, change, expected):
    path = gallery / "captions.json"
    content = json.loads(path.read_text())
    change(content["images"][0])
    path.write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        read_captions(gallery, read_results(captioned.results))
    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_captions_json_there_are_none(captioned, gallery):
    (gallery / "captions.json").unlink()
    assert read_sources(captioned.results, gallery, captioned.evidence).captions is None
