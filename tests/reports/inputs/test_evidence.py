"""The evidence, the study of estimators and the searches: read, or refused with one message."""

from __future__ import annotations

import pytest

from reports.errors import UserError
from reports.inputs.estimators import read_gradient, read_training
from reports.inputs.search import read_searches


def test_the_evidence_is_read(rich):
    assert len(read_gradient(rich.evidence / "estimators-gradient.csv")) == 12
    assert len(read_training(rich.evidence / "estimators-training.csv")) == 15
    (search,) = read_searches(rich.evidence / "search" / "mnist-5k").values()
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
        ("search/mnist-5k/alexnet.csv", "pruned", "stopped", "state 'stopped' is none of complete, pruned, failed"),
        ("search/mnist-5k/alexnet.csv", "params_dropout", "dropout", "lacks the column(s) params_dropout"),
        ("search/mnist-5k/alexnet.json", '"chosen"', '"taken"', "chosen: Field required"),
        ("search/mnist-5k/alexnet.json", '"system": "alexnet"', '"system": "bsvm"', "is about bsvm, not alexnet"),
        ("search/mnist-5k/alexnet.json", "{", "", "alexnet.json: the file: Invalid JSON"),
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
        readers[file](path) if file in readers else read_searches(tmp_path / "search" / "mnist-5k")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("missing", ["alexnet.csv", "alexnet.json"])
def test_half_a_search_is_refused(world, tmp_path, missing):
    world.write_evidence(tmp_path)
    (tmp_path / "search" / "mnist-5k" / missing).unlink()
    with pytest.raises(UserError, match=f"{missing} does not exist"):
        read_searches(tmp_path / "search" / "mnist-5k")
