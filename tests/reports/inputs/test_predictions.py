"""predictions.csv.gz: read, or refused with one message that says where it is wrong."""

from __future__ import annotations

import csv
import gzip
import io

import numpy as np
import pytest

from reports.errors import UserError
from reports.inputs.predictions import read_predictions
from reports.inputs.results import read_results


@pytest.fixture
def path(rich):
    return rich.results.with_name("predictions.csv.gz")


@pytest.fixture
def results(rich):
    return read_results(rich.results)


def test_every_done_trial_has_a_class_for_every_image(path, results):
    predictions = read_predictions(path, results)
    done = results[results["status"] == "done"].set_index("trial_id")
    assert set(predictions.guesses) == set(done.index)
    assert predictions.images == 500
    assert predictions.names[:2] == ("class a", "class b")
    for name, said in predictions.guesses.items():
        assert 100 * np.mean(said == predictions.labels) == pytest.approx(done.loc[name, "top1"], abs=0.101)


def test_without_a_file_there_are_no_trials(tmp_path, results):
    predictions = read_predictions(tmp_path / "predictions.csv.gz", results)
    assert (predictions.guesses, predictions.images, predictions.names) == ({}, 0, ())
    (tmp_path / "empty.csv.gz").write_bytes(gzip.compress(b"image,label,class\n", mtime=0))
    assert read_predictions(tmp_path / "empty.csv.gz", results).guesses == {}


def test_a_class_without_a_test_image_is_called_by_its_number(tmp_path, rich, results):
    name = rich.rows[0]["trial_id"]
    lines = ["image,label,class," + name, *["0,0,cat,0"] * 70, *["1,0,cat,2"] * 30]
    target = tmp_path / "predictions.csv.gz"
    target.write_bytes(gzip.compress("\n".join(lines).encode()))
    results.loc[results["trial_id"] == name, "top1"] = 70.0
    assert read_predictions(target, results).names == ("cat", "class 1", "class 2")


def changed(path, target, change):
    rows = list(csv.reader(io.StringIO(gzip.decompress(path.read_bytes()).decode())))
    change(rows)
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    target.write_bytes(gzip.compress(text.getvalue().encode()))


def put(row, column, value):
    def change(rows):
        rows[row][column] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (put(0, 1, "true"), "does not begin with the columns image, label, class"),
        (lambda rows: [row.append(row[3]) for row in rows], "has the column '"),
        (put(3, 4, "x"), "line 4: invalid literal"),
        (put(3, 4, ""), "line 4: invalid literal"),
        (put(3, 4, "-1"), "line 4: has a value that is no class"),
        (put(3, 1, "100000"), "line 4: has a value that is no class"),
        (put(3, 4, "1" * 30), "line 4: "),
        (lambda rows: rows[5].pop(), "line 6: has "),
        (lambda rows: rows.insert(5, []), "line 6: has 0 values"),
        (put(0, 3, "0" * 16), "0000000000000000 is no done trial of the results"),
        (lambda rows: [put(row, 3, "7")(rows) for row in range(1, 400)], " % of the images, and the results say "),
    ],
)
def test_a_wrong_file_is_refused(path, results, tmp_path, change, said):
    target = tmp_path / "predictions.csv.gz"
    changed(path, target, change)
    with pytest.raises(UserError) as caught:
        read_predictions(target, results)
    message = str(caught.value)
    assert said in message
    assert str(target) in message
    assert message.endswith("; `python -m experiments run` writes it")


@pytest.mark.parametrize(
    "content",
    [b"", b"image,label,class\n", gzip.compress(b"\xff\xfe", mtime=0), gzip.compress(b"a" * 99, mtime=0)[:30]],
    ids=["empty", "plain", "no text", "cut off"],
)
def test_what_is_no_compressed_table_is_refused(tmp_path, results, content):
    target = tmp_path / "predictions.csv.gz"
    target.write_bytes(content)
    with pytest.raises(UserError, match=r"predictions\.csv\.gz "):
        read_predictions(target, results)
