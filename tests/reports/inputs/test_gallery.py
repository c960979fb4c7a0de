"""sweep.json and the pictures it names: read, or refused with one message."""

from __future__ import annotations

import json
import shutil

import pytest

from reports.errors import UserError
from reports.inputs.gallery import read_picture, read_sweep
from reports.inputs.sources import read_sources


@pytest.fixture
def gallery(sweep_files, tmp_path):
    return shutil.copytree(sweep_files.gallery, tmp_path / "gallery")


def test_a_sweep_comes_back(sweep_files):
    sweep = read_sweep(sweep_files.gallery)
    assert (sweep.dataset, sweep.trials.failed, len(sweep.pictures)) == ("mnist-5k", 1, 4)
    assert all(read_picture(sweep_files.gallery, picture.file).startswith(b"\x89PNG") for picture in sweep.pictures)


@pytest.mark.parametrize(
    ("content", "expected"),
    [(None, "does not exist"), (b"{", "the file: Invalid JSON"), (b"{}", "dataset: Field required")],
)
def test_an_unusable_sweep_is_one_message(gallery, content, expected):
    path = gallery / "sweep.json"
    path.unlink() if content is None else path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_sweep(gallery)
    assert str(caught.value).startswith(f"{path}")
    assert expected in str(caught.value)


def test_a_picture_that_is_gone_or_none_is_named(gallery):
    first, second, *_ = read_sweep(gallery).pictures
    (gallery / first.file).unlink()
    (gallery / second.file).write_bytes(b"<svg>")
    with pytest.raises(UserError, match=rf"{first.file}, named in sweep.json, cannot be read"):
        read_picture(gallery, first.file)
    with pytest.raises(UserError, match=rf"{second.file}, named in sweep.json, is not a PNG"):
        read_picture(gallery, second.file)


@pytest.mark.parametrize("file", ["../secret.png", "/etc/secret.png", "..", "", "a\\b.png"])
def test_a_picture_lies_in_the_gallery(gallery, file):
    path = gallery / "sweep.json"
    facts = json.loads(path.read_text())
    facts["pictures"][0]["file"] = file
    path.write_text(json.dumps(facts))
    with pytest.raises(UserError, match=r"pictures\.0\.file: is not the plain name of a file in this folder"):
        read_sweep(gallery)


def test_a_picture_that_is_cut_off_is_told(gallery):
    first = read_sweep(gallery).pictures[0].file
    (gallery / first).write_bytes((gallery / first).read_bytes()[:-9])
    with pytest.raises(UserError, match="is cut off"):
        read_picture(gallery, first)


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("wall_seconds", float("nan"), "wall_seconds: Input should be a finite number, not nan"),
        ("wall_seconds", -1, "wall_seconds: Input should be greater than or equal to 0, not -1"),
        ("workers", True, "workers: Input should be a valid integer, not True"),
        ("workers", "2", "workers: Input should be a valid integer, not '2'"),
        ("params", {"a": [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]}, "more than 32 levels"),
    ],
)
def test_a_value_of_another_type_is_named(gallery, key, value, expected):
    path = gallery / "sweep.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {key: value}))
    with pytest.raises(UserError) as caught:
        read_sweep(gallery)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_results_and_gallery_of_two_sweeps_are_not_mixed(sweep_files, gallery):
    path = gallery / "sweep.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dataset": "fashion-mnist"}))
    with pytest.raises(UserError, match=r"is about mnist-5k but .* about fashion-mnist"):
        read_sources(sweep_files.results, gallery, sweep_files.evidence)
