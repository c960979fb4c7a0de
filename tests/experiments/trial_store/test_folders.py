"""The trial store counts whole files only."""

import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from data.errors import UserError
from experiments.files import write_json, write_whole
from experiments.trial_store.folders import TrialFolder, TrialStore
from tests.experiments.stored import label_result


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
    folder.finish(label_result())
    assert folder.status == "done"


@pytest.mark.parametrize("part", range(0, 100, 7))
def test_a_result_that_was_cut_short_counts_as_absent(folder, part):
    folder.finish(label_result(text="a longer text"))
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
    folder.set_rows([{"epoch": 0, "loss": 3.0, "time": 5.0}])
    folder.add_row({"epoch": 1, "loss": 2.0, "time": 6.0})
    folder.add_row({"epoch": 1, "loss": 1.5, "time": 7.0})
    with (folder.path / "metrics.jsonl").open("a") as stream:
        stream.write('{"epoch": 2, "lo')
    rows = [{"epoch": 0, "loss": 3.0, "time": 5.0}, {"epoch": 1, "loss": 1.5, "time": 7.0}]
    assert folder.rows() == rows


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


def spoil(folder, **changes):
    """Writes a result that holds but for these changes; returns its text."""
    text = json.dumps(label_result(**changes))
    (folder.path / "result.json").write_text(text)
    return text


def test_a_result_that_does_not_hold_counts_as_not_done_and_says_why(folder):
    spoil(folder, top1=400.0)
    assert (folder.result(), folder.status) == (None, "missing")
    assert re.fullmatch(rf"{folder.path}/result.json: top1 = 400.0: .*100", folder.result_fault())
    folder.finish(label_result())
    assert (folder.status, folder.result_fault(), folder.faults()) == ("done", "", [])


def test_a_result_of_another_trial_counts_as_not_done(folder):
    spoil(folder, identity="fedcba9876543210")
    assert folder.result() is None
    assert folder.result_fault().endswith("identity = 'fedcba9876543210': it is the result of that trial")
    spoil(folder, identity=folder.path.name)
    assert folder.result() is not None


@pytest.mark.parametrize(
    ("config", "trial"),
    [
        ({"system": "toy"}, {"system": "alexnet"}),
        ({"proportion": 0.1, "seed": 0}, {"proportion": 0.1, "seed": 1}),
        ({"settings": {"epochs": 3, "rate": 0.5}}, {"settings": {"epochs": 3, "rate": 0.25}}),
    ],
)
def test_a_result_without_identity_is_compared_with_what_the_trial_is(folder, config, trial):
    folder.begin(config)
    spoil(folder, trial=trial)
    assert folder.result() is None
    assert "is not that of config.json: it is the result of another trial" in folder.result_fault()
    spoil(folder, trial=config | {"settings": {**config.get("settings", {}), "newer": 1}})
    assert folder.result() is not None


def test_a_new_attempt_sets_a_result_that_does_not_hold_aside(folder):
    for number in (1, 2):
        text = spoil(folder, top1=400.0 + number)
        folder.begin({"system": "toy"})
        assert (folder.path / f"result.json.set-aside-{number}").read_text() == text
        assert not (folder.path / "result.json").exists()
    folder.finish(label_result())
    assert folder.status == "done"


def test_whatever_does_not_hold_is_named_and_counts_as_absent(folder):
    (folder.path / "config.json").write_text('{"seed": "first"}')
    (folder.path / "failure.json").write_text('{"reason": ["it"]}')
    (folder.path / "captions.json").write_text('{"captions": [{"image": -1}]}')
    (folder.path / "metrics.jsonl").write_text('{"epoch": 0, "time": 1.0}\n{"epoch": 1, "time": 2.0, "loss": "low"}\n')
    assert (folder.config(), folder.failure(), folder.captions()) == (None, None, [])
    assert folder.rows() == [{"epoch": 0, "time": 1.0}]
    assert folder.status == "missing"
    found = [fault.removeprefix(f"{folder.path}/").partition(" = ")[0] for fault in folder.faults()]
    assert found == [
        "config.json: seed",
        "failure.json: reason",
        "captions.json: captions.0.image",
        "metrics.jsonl: line 2: loss",
    ]


def test_a_config_of_another_trial_counts_as_absent(folder):
    folder.begin({"identity": "fedcba9876543210"})
    assert folder.config() is None
    assert folder.faults() == [f"{folder.path}/config.json: identity = 'fedcba9876543210': it belongs to that trial"]


def test_a_reason_that_is_no_text_is_kept_as_far_as_it_is(folder):
    folder.fail("no such file: \udcff.png")
    assert folder.failure()["reason"] == "no such file: ?.png"
    folder.fail("")
    assert folder.status == "failed"


def test_a_picture_is_a_png(folder):
    (folder.path / "pictures/c.png").mkdir(parents=True)
    (folder.path / "pictures/a.png").write_bytes(b"\x89PNG\r\n\x1a\n...")
    (folder.path / "pictures/b.png").write_bytes(b"no picture")
    assert list(folder.pictures()) == ["a"]


@pytest.mark.parametrize("start", ["**", "/etc", "*", "..", "[0-9]", "\0", "0123456789abcdef/", ""])
def test_the_start_of_an_identity_is_no_pattern(folder, start):
    store = TrialStore(folder.path.parent)
    assert store.identities(start) == ([] if start else [folder.path.name])
    assert store.captioners(start) == []


def test_a_place_that_is_no_store_is_told(tmp_path):
    for place in (tmp_path / "none", tmp_path, Path("/etc/passwd")):
        with pytest.raises(UserError, match=f"^{place} is no trial store: name the one"):
            TrialStore(place).check_begun()
    with TrialStore(tmp_path).locked():
        TrialStore(tmp_path).check_begun()
    TrialStore(tmp_path / "other").folder("0123456789abcdef").begin({})
    TrialStore(tmp_path / "other").check_begun()


def test_the_status_is_told_where_nothing_may_be_written(folder, monkeypatch):
    """A disk that is mounted for reading alone, made up: this process may be root, whom permissions do not stop."""
    with folder.locked():
        pass
    really, writing = os.open, os.O_WRONLY | os.O_RDWR | os.O_CREAT

    def read_only(path, flags, *arguments, **options):
        if flags & writing:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), path)
        return really(path, flags, *arguments, **options)

    monkeypatch.setattr(os, "open", read_only)
    assert folder.status == "missing"
    with monkeypatch.context() as able:
        able.setattr(os, "open", really)
        holding = folder.locked()
        holding.__enter__()
    assert folder.status == "running"
    holding.__exit__(None, None, None)
    assert not folder.is_held()


def test_facts_that_do_not_hold_are_told(tmp_path):
    store = TrialStore(tmp_path)
    assert store.facts("sweep-a.json") is None
    store.save_facts("sweep-a.json", {"dataset": 5})
    with pytest.raises(UserError, match=r"sweep-a.json: dataset = 5: .*: `python -m experiments run` writes it anew"):
        store.facts("sweep-a.json")
