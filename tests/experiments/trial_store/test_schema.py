"""A stored file either holds, or it is said which key and value is wrong."""

import csv
import json
import re
from pathlib import Path

import pytest

from experiments.trial_store import schema
from experiments.trials.caption_scores import SCORES
from tests.experiments.stored import caption_result, label_result

WRONG = [
    ({"top1": 101.0}, r"^top1 = 101.0: .* less than or equal to 100$"),
    ({"top1": -0.5}, r"^top1 = -0.5: "),
    ({"top1": "12.5"}, r"^top1 = '12.5': .* a valid number$"),
    ({"top1": True}, r"^top1 = True: "),
    ({"top1": None}, r"^top1 is missing$"),
    ({"top1": [12.5]}, r"^top1 = \[12.5\]: "),
    ({"top1": 10**400}, r"^top1 = 1000"),
    ({"top1": 60.0}, r"^top1 is above top5$"),
    ({"ece": float("nan")}, r"^ece = nan: .* finite number$"),
    ({"elbo": float("-inf")}, r"^elbo = -inf: "),
    ({"elbo": 1e300}, r"^elbo = 1e\+300: "),
    ({"epochs": 0}, r"^epochs = 0: "),
    ({"epochs": 3.5}, r"^epochs = 3.5: .* a valid integer$"),
    ({"updates": -1}, r"^updates = -1: "),
    ({"operations": -1.0}, r"^operations = -1.0: "),
    ({"seconds": -1.0}, r"^seconds = -1.0: "),
    ({"seconds": {}}, r"^seconds = {}: "),
    ({"device": "two\nlines"}, r"^device = 'two\\nlines': "),
    ({"threads": [0]}, r"^threads.0 = 0: "),
    ({"averaging": [{"draws": 1}]}, r"^averaging.0.top1 is missing$"),
    ({"averaging": {}}, r"^averaging = {}: "),
    ({"versions": {"torch": 2}}, r"^versions.torch = 2: "),
    ({"trial": {"seed": "0"}}, r"^trial.seed = '0': "),
    ({"trial": {"xi": -1.0}}, r"^trial.xi = -1.0: "),
    ({"unknown": float("inf")}, r"^a number in it is infinite$"),
]


@pytest.mark.parametrize(("changes", "said"), WRONG, ids=[str(changes)[:40] for changes, _ in WRONG])
def test_what_is_wrong_with_a_result_is_named(changes, said):
    fault = schema.fault_of(label_result(**changes), schema.Result)
    assert fault
    assert "\n" not in fault
    assert re.search(said, fault), fault


@pytest.mark.parametrize(
    ("result", "key"),
    [(label_result(), key) for key in ("epochs", "seconds", "top1", "top5", "ece", "device", "train_seconds")]
    + [(caption_result(), key) for key in ("epochs", "bleu1", "bleu4", "rouge_l", "cider", "test_ms_per_image")],
)
def test_a_result_lacks_none_of_its_measures(result, key):
    assert not schema.fault_of(result, schema.Result)
    del result[key]
    assert schema.fault_of(result, schema.Result) == f"{key} is missing"


def test_a_day_of_a_large_gpu_is_a_possible_number_of_operations():
    assert not schema.fault_of(label_result(operations=1e15 * 86_400), schema.Result)
    assert schema.fault_of(label_result(operations=-1.0), schema.Result).startswith("operations = -1.0: ")


@pytest.mark.parametrize("published", ["", "emoji/", "shapes/"])
def test_published_results_hold(published):
    """Their rows have the numbers of results of every system; the results themselves are not kept."""
    folder = Path(__file__).parents[3] / "reports/published" / published
    with (folder / "results.csv").open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row["status"] == "done"]
    with (folder / "averaging.csv").open(newline="") as stream:
        averaging = list(csv.DictReader(stream))
    assert rows
    for row in rows:
        result = {key: number_in(value) for key, value in row.items() if key in schema.Result.model_fields and value}
        averaged = [measured for measured in averaging if measured["trial_id"] == row["trial_id"]]
        result["averaging"] = [{key: number_in(value) for key, value in one.items()} for one in averaged]
        assert not schema.fault_of(result | {"seconds": 1.0}, schema.Result)


def number_in(text):
    """Returns what a cell of a CSV file holds, a number where it is one."""
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text


def test_a_search_has_a_validation_measure_alone():
    kept = {"validation_accuracy": 50.0, "epochs": 1, "seconds": 1.0}
    assert not schema.fault_of(kept, schema.Result)
    del kept["validation_accuracy"]
    assert schema.fault_of(kept, schema.Result) == "top1 is missing"


def test_every_score_of_captions_has_its_range():
    assert set(SCORES) <= set(schema.Scores.model_fields)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"{", "is no JSON"),
        (b"\xff\xfe", "is no JSON"),
        (b'{"top1": NaN}', "is no JSON"),
        (b'{"a": ' + b"[" * 5000 + b"]" * 5000 + b"}", "is no JSON"),
        (b'{"device": "\\ud800"}', "is no JSON"),
        (b"[]", r"is \[\] and no mapping"),
        (b"null", "is None and no mapping"),
        (b"1e999", "is inf and no mapping"),
    ],
)
def test_a_file_that_is_no_mapping_says_so(tmp_path, content, said):
    path = tmp_path / "result.json"
    path.write_bytes(content)
    value, fault = schema.read(path, schema.Result)
    assert value is None
    assert re.match(said, fault), fault


def test_a_file_that_is_not_there_or_cannot_be_read(tmp_path):
    assert schema.read(tmp_path / "none", schema.Result) == (None, "")
    assert schema.read(tmp_path, schema.Result) == (None, "cannot be read (Is a directory)")


def test_a_whole_file_comes_back_as_it_was_written(tmp_path):
    path = tmp_path / "result.json"
    path.write_text(json.dumps(label_result(top1=50, other=[1, {"a": None}])))
    value, fault = schema.read(path, schema.Result)
    assert (value, fault) == (label_result(top1=50, other=[1, {"a": None}]), "")
    assert isinstance(value["top1"], int)
