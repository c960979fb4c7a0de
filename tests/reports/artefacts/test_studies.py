"""averaging.csv and the evidence in, checked frames out, or one message; what is absent makes no section."""

from __future__ import annotations

import json

import pytest

from reports.__main__ import build
from reports.errors import UserError
from reports.inputs.averaging import read_averaging
from reports.inputs.estimators import read_gradient, read_training
from reports.inputs.results import read_results
from reports.inputs.search import read_searches


def test_averaging_comes_with_its_trials_grid_points(rich):
    results = read_results(rich.results)
    table = read_averaging(rich.results.with_name("averaging.csv"), results)
    assert len(table) == 4 * (2 * 5 + 5 + 3) * 5  # N_s × (proportions of three systems, and the ξ study's)
    assert set(table["system"]) == {"bsvm", "softmax", "tbsvm"}
    assert table["draws"].dtype == "Int64"
    done = results.set_index("trial_id")
    assert (table["seed"].to_numpy() == done.loc[table["trial_id"], "seed"].to_numpy()).all()


def test_no_averaging_is_no_rows(rich, leavings, tmp_path):
    results = read_results(leavings.results)
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


def test_the_evidence_is_read(rich):
    assert len(read_gradient(rich.evidence / "estimators-gradient.csv")) == 12
    assert len(read_training(rich.evidence / "estimators-training.csv")) == 15
    (search,) = read_searches(rich.evidence / "search").values()
    assert search.best.score == 92.0
    assert list(search.trials["state"]) == ["complete", "pruned", "complete", "failed"]


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("estimators-gradient.csv", "exact,factorised", "exact,neither", "reading 'neither' is none of factorised"),
        ("estimators-gradient.csv", "variance", "spread", "lacks the column(s) variance"),
        ("estimators-gradient.csv", "rloo,factorised,0,4", "rloo,factorised,0,2", "is there twice at one reading"),
        ("estimators-training.csv", "60.5", "0", "seconds 0.0 is not above 0"),
        ("estimators-training.csv", "exact,factorised,1,", "exact,factorised,0,", "seed 0 is there twice"),
        ("search/alexnet.csv", "pruned", "stopped", "state 'stopped' is none of complete, pruned, failed"),
        ("search/alexnet.csv", "params_dropout", "dropout", "lacks the column(s) params_dropout"),
        ("search/alexnet.json", '"chosen"', '"taken"', "chosen: Field required"),
        ("search/alexnet.json", '"system": "alexnet"', '"system": "bsvm"', "is about bsvm, not alexnet"),
        ("search/alexnet.json", "{", "", "alexnet.json: the file: Invalid JSON"),
    ],
)
def test_wrong_evidence_is_one_message(world, tmp_path, file, old, new, expected):
    world.write_evidence(tmp_path)
    path = tmp_path / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    readers = {"estimators-gradient.csv": read_gradient, "estimators-training.csv": read_training}
    with pytest.raises(UserError) as caught:
        readers[file](path) if file in readers else read_searches(tmp_path / "search")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["alexnet.csv", "alexnet.json"])
def test_half_a_search_is_refused(world, tmp_path, missing):
    world.write_evidence(tmp_path)
    (tmp_path / "search" / missing).unlink()
    with pytest.raises(UserError, match=f"{missing} does not exist"):
        read_searches(tmp_path / "search")


def test_what_is_absent_makes_no_section(leavings, report, rich_report):
    bare, full = ((folder / "index.html").read_text() for folder in (report, rich_report))
    for section in ("estimators", "search"):
        assert f'<section id="{section}">' in full
        assert f'<section id="{section}">' not in bare
    assert "figures/averaging.svg" not in bare
    assert '<section id="calibration">' in bare


def test_one_study_of_estimators_without_the_other(rich, tmp_path):
    for name in ("estimators-gradient.csv", "estimators-training.csv"):
        evidence = tmp_path / name
        evidence.mkdir()
        (evidence / name).write_bytes((rich.evidence / name).read_bytes())
        build(rich.results, rich.gallery, evidence, tmp_path / f"out-{name}")
        tables = {path.name for path in (tmp_path / f"out-{name}" / "tables").glob("estimators-*.csv")}
        assert tables == {name}


def test_numbers_of_the_search_are_in_its_table(rich_report):
    text = (rich_report / "tables" / "search.md").read_text()
    assert "| learning_rate | 1e-4 to 1e-1, log | 0.00217 | 0.90 |" in text
    page = (rich_report / "index.html").read_text()
    assert "92.00 % (trial 2)" in page
    assert "2 complete, 1 pruned, 1 failed" in page
    assert json.dumps("nan")[1:-1] not in text
