"""What `log` shows of a trial, whatever its files hold."""

import json

import pytest

from data.errors import UserError
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.log import find, lines
from tests.experiments.stored import label_result

NAME = "0123456789abcdef"


@pytest.fixture
def folder(tmp_path):
    folder = TrialStore(tmp_path / "store").folder(NAME)
    folder.begin({"system": "toy", "identity": NAME})
    return folder


def row(epoch, **values):
    return {"epoch": epoch, "time": 100.0 + epoch, "loss": 1.5, **values}


def test_a_trial_that_was_computed_on_one_number_of_threads_says_it_once(folder):
    folder.set_rows([row(epoch, threads=2, gpu=0) for epoch in range(3)])
    shown = lines(folder)
    assert [line for line in shown if line.startswith(("  on ", "  from here on "))] == ["  on 2 threads"]


def test_a_change_of_threads_or_device_is_told_where_it_happened(folder):
    folder.set_rows([row(0, threads=1, gpu=0), row(1, threads=2, gpu=0), row(2, threads=2, gpu=1)])
    told = [line.partition(":")[0] for line in lines(folder) if line.startswith(("  on ", "  from here on "))]
    assert told == [
        "  on 1 thread",
        "  from here on 2 threads, not 1 thread",
        "  from here on a GPU and 2 threads, not 2 threads",
    ]


def test_epochs_of_which_it_is_not_known_are_passed_over(folder):
    folder.set_rows([row(0), row(1, threads=1, gpu=0)])
    assert [line for line in lines(folder) if line.startswith(("  on ", "  from here on "))] == ["  on 1 thread"]


def test_what_does_not_hold_is_told_at_the_end(folder):
    (folder.path / "metrics.jsonl").write_text('{"epoch": 0, "loss": "low"}\n')
    (folder.path / "result.json").write_text(json.dumps(label_result(seconds="long")))
    (folder.path / "failure.json").write_text("[]")
    assert [line.removeprefix(f"does not hold: {folder.path}/") for line in lines(folder)][-3:] == [
        "result.json: seconds = 'long': input should be a valid number",
        "failure.json: is [] and no mapping",
        "metrics.jsonl: line 1: time is missing",
    ]


def test_a_failure_without_details_is_shown(folder):
    (folder.path / "failure.json").write_text('{"reason": "it broke"}')
    assert "failed: it broke" in lines(folder)


def test_nothing_steers_the_terminal(folder):
    folder.finish(label_result(note="\x1b[2J"))
    assert "\x1b" not in "".join(lines(folder))


@pytest.mark.parametrize("start", ["**", "/etc", "../..", "*"])
def test_a_start_that_is_no_identity_is_one_line(folder, main, start):
    code, out, err = main("log", start, "--store", str(folder.path.parent))
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {start!r}: no trial starts so in {folder.path.parent}")
    assert err.count("\n") == 1


def test_a_place_that_is_no_store_is_one_line(main, tmp_path):
    code, out, err = main("log", "0", "--store", str(tmp_path))
    assert (code, out) == (2, "")
    assert err.startswith(f"error: {tmp_path} is no trial store: ")
    assert err.count("\n") == 1


def test_the_start_must_name_one(folder):
    store = TrialStore(folder.path.parent)
    assert find(store, NAME[:3]) == folder
    store.folder("0123000000000000").begin({})
    with pytest.raises(UserError, match="2 trials start so"):
        find(store, NAME[:3])
