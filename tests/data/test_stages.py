"""The three stages, called as functions: what they make and print."""

from __future__ import annotations

import pytest

from data import stages
from data.errors import UserError


def test_three_stages_and_again(toy, tmp_path, capsys):
    lines = [
        f"toy: official files in {tmp_path / 'raw' / 'toy'}",
        f"toy: images in {tmp_path / 'processed' / 'toy'}",
        f"toy: splits in {tmp_path / 'splits' / 'toy'}",
    ]
    for ending in ("", " (were there already)"):
        stages.download("toy", toy.folder, tmp_path)
        stages.prepare("toy", tmp_path)
        stages.split("toy", 2, tmp_path)
        assert capsys.readouterr().out.splitlines() == [line + ending for line in lines]


def test_drawn_images_have_nothing_to_download(tmp_path, capsys):
    stages.download("shapes", root=tmp_path)
    assert capsys.readouterr().out == "shapes: nothing to download: its images are drawn by `prepare`\n"
    stages.prepare("shapes", tmp_path, images=40)
    assert capsys.readouterr().out == f"shapes: images in {tmp_path / 'processed' / 'shapes'}\n"


@pytest.mark.parametrize("stage", [stages.download, stages.prepare, lambda name: stages.split(name, 1)])
def test_an_unknown_dataset(stage):
    with pytest.raises(UserError, match="unknown dataset 'nope': known are"):
        stage("nope")
