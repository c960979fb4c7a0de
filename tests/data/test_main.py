"""The command line: its output, its exit codes, and that mistakes show no traceback."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from data import __main__ as command_line
from data import catalog
from data.official.download import download

REPOSITORY = Path(__file__).parents[2]


@pytest.fixture
def run(monkeypatch, capsys):
    """Returns a function that runs `python -m data …` in this process: (exit code, stdout, stderr)."""

    def go(*words: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["data", *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            command_line.main()
        out, err = capsys.readouterr()
        return caught.value.code or 0, out, err

    return go


def test_the_whole_way_and_again(toy, tmp_path, run):
    root = tmp_path / "d"
    ways = (
        ("download", "toy", "--source", toy.folder),
        ("prepare", "toy"),
        ("split", "toy", "--repetitions", 2),
    )
    for way in ways:
        code, out, err = run(*way, "--root", root)
        assert (code, err) == (0, "")
        assert "were there already" not in out
    stamps = {path: path.stat().st_mtime_ns for path in root.rglob("*.np*")}
    for way in ways:
        code, out, _ = run(*way, "--root", root)
        assert code == 0
        assert "were there already" in out
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*.np*")} == stamps
    code, out, _ = run("list", "--root", root)
    (line,) = [line for line in out.splitlines() if line.startswith("toy")]
    assert "4×4×1" in line
    assert "48/12/15" in line
    assert "downloaded, prepared 75, split×2" in line
    assert "nothing" in out  # of the others


def test_to_another_machine_and_from_there(toy, tmp_path, run):
    root, uri = tmp_path / "d", f"file://{tmp_path / 'shared'}"
    for way in (("download", "toy", "--source", toy.folder), ("prepare", "toy"), ("split", "toy", "--repetitions", 2)):
        assert run(*way, "--root", root)[0] == 0
    assert "toy: 8 files sent" in run("push", "toy", uri, "--root", root)[1]
    assert "toy: 0 files sent" in run("push", "toy", uri, "--root", root)[1]
    assert "were there already" not in run("pull", "toy", uri, "--root", tmp_path / "e")[1]
    assert "were there already" in run("pull", "toy", uri, "--root", tmp_path / "e")[1]
    for path in (root / "processed" / "toy").iterdir():
        assert (tmp_path / "e" / "processed" / "toy" / path.name).read_bytes() == path.read_bytes()


def test_all_about_a_dataset(run):
    code, out, _ = run("list", "imagenet-2012")
    assert code == 0
    for part in ("256×256×3, 1,000 classes", "ILSVRC2012_img_train.tar  147.9 GB  sha256:b08200a2", "Register at"):
        assert part in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("download", "nope"), "unknown dataset 'nope': known are caltech-101, "),
        (("prepare", "nope"), "unknown dataset 'nope'"),
        (("split", "nope", "--repetitions", 1), "unknown dataset 'nope'"),
        (("download", "toy", "--source", "/no/such/folder"), "/no/such/folder is not a folder"),
        (("download", "toy"), "toy cannot be downloaded by this program"),
        (("prepare", "toy"), "run `python -m data download toy --source FOLDER` first"),
        (("split", "toy", "--repetitions", 1), "run `python -m data prepare toy` first"),
        (("split", "toy", "--repetitions", 0), "--repetitions 0: at least 1 is needed"),
    ],
)
def test_mistakes_are_one_message_and_exit_code_2(toy, tmp_path, run, words, message):
    code, out, err = run(*words, "--root", tmp_path / "d")
    assert code == 2
    assert out == ""
    assert err.startswith("error: ")
    assert message in err
    assert "Traceback" not in err


def test_what_the_system_refuses_elsewhere_is_told_too(toy, tmp_path, run, monkeypatch):
    def forbidden(path):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(Path, "is_file", forbidden)
    code, _, err = run("download", "toy", "--root", tmp_path)
    assert code == 2
    assert err.startswith(f"error: {tmp_path}")
    assert err.endswith(": Permission denied\n")


@pytest.mark.parametrize("words", [("split", "toy"), ("split", "toy", "--repetitions", "two"), ("frobnicate",)])
def test_a_wrong_command_line_is_exit_code_2(run, words):
    code, _, err = run(*words)
    assert code == 2
    assert "Traceback" not in err


@pytest.mark.parametrize("words", [(), ("download",), ("prepare",), ("split",), ("list",)])
def test_help_teaches(run, words):
    code, out, _ = run(*words, "--help")
    assert code == 0
    assert "--root" in out or "python -m data split" in out


def test_a_full_disk_is_told_and_leaves_nothing_half_written(tmp_path):
    # a limit on the size of a file (1000 blocks of a kibibyte) refuses writes as a full disk does
    root = tmp_path / "d"
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    python = [sys.executable, "-m", "data"]
    download(catalog.get("mnist-5k"), root)
    limited = ["bash", "-c", 'ulimit -f 1000; exec "$@"', "-", *python, "prepare", "mnist-5k", "--root", str(root)]
    done = subprocess.run(limited, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: cannot write {root / 'processed'}")
    assert "images-00000.npy: File too large. Free some space" in done.stderr
    assert "Traceback" not in done.stderr
    left = [path.name for path in (root / "processed").rglob("*") if path.is_file() and path.name[0] != "."]
    assert left == []
