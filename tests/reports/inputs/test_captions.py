"""captions.json: read, or refused with one message that names the place."""

from __future__ import annotations

import json
import math
import shutil

import pytest

from reports.errors import UserError
from reports.inputs.captions import read_captions
from reports.inputs.results import read_results
from reports.inputs.sources import read_sources


@pytest.fixture
def gallery(captioned, tmp_path):
    return shutil.copytree(captioned.gallery, tmp_path / "gallery")


def test_captions_come_back_with_their_perplexity(captioned):
    captions = read_captions(captioned.gallery, read_results(captioned.results))
    assert len(captions.images) == 10
    ours, *_, neighbour = captions.images[0].said
    assert ours.perplexity == pytest.approx(math.exp(-ours.log_likelihood / ours.words))
    assert (neighbour.system, neighbour.perplexity) == ("neighbour", None)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda image: image.update(subset="new"), "images.0.subset: Input should be 'same' or 'unseen'"),
        (lambda image: image.update(references=[]), "images.0.references: List should have at least 1 item"),
        (lambda image: image["said"][0].update(words=0), "images.0.said.0.words: Input should be greater than"),
        (lambda image: image["said"][0].pop("text"), "images.0.said.0.text: Field required"),
        (lambda image: image["said"][1].update(trial_id="x"), "images.0.said.1: trial_id 'x' is no done trial"),
        (lambda image: image["said"].append(image["said"][0]), "a second text of 'caption' at 0.02"),
    ],
)
def test_wrong_captions_are_named_with_their_place(captioned, gallery, change, expected):
    path = gallery / "captions.json"
    content = json.loads(path.read_text())
    change(content["images"][0])
    path.write_text(json.dumps(content))
    with pytest.raises(UserError) as caught:
        read_captions(gallery, read_results(captioned.results))
    assert str(caught.value).startswith(f"{path}: ")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_without_captions_json_there_are_none(captioned, gallery):
    (gallery / "captions.json").unlink()
    assert read_sources(captioned.results, gallery, captioned.evidence).captions is None
