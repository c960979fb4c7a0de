"""The trial store counts whole files only."""

import json
import os
import subprocess
import sys

import pytest
import torch

from data.errors import UserError
from experiments.files import write_json, write_whole
from experiments.trial_store.folders import TrialFolder, TrialStore


@pytest.fixture
def folder(tmp_path):
    folder = TrialStore(tmp_path / "store").folder("0123456789abcdef")
    folder.begin({"system": "toy"})
    return folder


def test_a_trial_never_begun_is_missing(tmp_path):
    assert TrialStore(tmp_path).folder("a").status == "missing"


def test_status_follows_what_happens(folder):
    assert folder.status == "missing"
    folder.fail("it broke", "details")
    assert folder.status == "failed"
    assert folder.failure()["reason"] == "it broke"
    folder.begin({"system": "toy"})
    assert folder.status == "missing"
    with folder.locked():
        assert folder.status == "running"
    folder.finish({"top1": 1.0})
    assert folder.status == "done"


@pytest.mark.parametrize("part", range(0, 100, 7))
def test_a_result_that_was_cut_short_counts_as_absent(folder, part):
    folder.finish({"top1": 12.5, "top5": 50.0, "text": "a longer text"})
    path = folder.path / "result.json"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * part // 100])
    assert folder.result() is None
    assert folder.status == "missing"
    path.write_bytes(whole)
    assert folder.status == "done"


def test_a_write_that_fails_leaves_what_was_there(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})

    def half(stream):
        stream.write(b'{"new"')
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_whole(path, half)
    assert json.loads(path.read_text()) == {"old": 1}
    assert os.listdir(tmp_path) == ["a.json"]


def test_rows_come_back_in_order_and_once(folder):
    folder.set_rows([{"epoch": 0, "loss": 3.0}])
    folder.add_row({"epoch": 1, "loss": 2.0})
    folder.add_row({"epoch": 1, "loss": 1.5})
    with (folder.path / "metrics.jsonl").open("a") as stream:
        stream.write('{"epoch": 2, "lo')
    assert folder.rows() == [{"epoch": 0, "loss": 3.0}, {"epoch": 1, "loss": 1.5}]


def test_a_checkpoint_holds_tensors_and_plain_values(folder):
    folder.save_checkpoint({"weights": torch.arange(3.0), "rows": [{"epoch": 0}], "best": -1.5})
    found = folder.checkpoint()
    assert torch.equal(found["weights"], torch.arange(3.0))
    assert (found["rows"], found["best"]) == ([{"epoch": 0}], -1.5)


@pytest.mark.parametrize("kept", [0, 10, 200])
def test_a_damaged_checkpoint_counts_as_absent(folder, kept):
    folder.save_checkpoint({"weights": torch.arange(3.0)})
    path = folder.path / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:kept])
    assert folder.checkpoint() is None


def test_a_checkpoint_with_code_in_it_is_not_run(folder, tmp_path):
    witness = tmp_path / "witness"

    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(witness),)

    torch.save({"weights": Evil()}, folder.path / "checkpoint.pt")
    assert folder.checkpoint() is None
    assert not witness.exists()


HOLD = """
import sys, time
from pathlib import Path
from experiments.trial_store.folders import TrialFolder
with TrialFolder(Path(sys.argv[1])).locked():
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_trial_is_held_by_one_process_until_it_is_killed(folder):
    holder = subprocess.Popen([sys.executable, "-c", HOLD, folder.path], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        assert folder.status == "running"
        with pytest.raises(UserError, match="being run by another process"), folder.locked(wait=0.1):
            pass
    finally:
        holder.kill()
        holder.wait()
    assert folder.status == "missing"
    with folder.locked(wait=1):
        pass


def test_one_sweep_at_a_time_has_the_store(tmp_path):
    store = TrialStore(tmp_path / "store")
    with store.locked(), pytest.raises(UserError, match="another sweep is running"), TrialStore(store.root).locked():
        pass
    with store.locked():
        pass


def test_a_store_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot write the trial store"), TrialStore(tmp_path / "file/store").locked():
        pass


def test_reading_a_folder_makes_nothing(tmp_path):
    folder = TrialFolder(tmp_path / "nothing")
    assert (folder.rows(), folder.result(), folder.failure(), folder.pictures()) == ([], None, None, {})
    assert not folder.is_held()
    assert not folder.path.exists()
