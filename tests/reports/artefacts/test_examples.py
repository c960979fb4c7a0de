"""The pages of captioned test images: every image, its captions escaped and marked."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from reports.__main__ import build
from reports.errors import UserError
from tests.reports.pages import text_of


@pytest.fixture(scope="module")
def pages(captioned_report) -> dict[str, str]:
    return {
        name: (captioned_report / name).read_text() for name in ("index.html", "answer.html", "figures/examples.html")
    }


def test_every_image_is_on_its_page_and_the_first_eight_on_the_first(pages):
    assert pages["figures/examples.html"].count('<article class="example">') == 10
    assert pages["index.html"].count('<article class="example">') == 8
    assert pages["figures/examples.html"].count("data:image/png;base64,") == 10
    assert "10 test images, evenly spaced over the test part." in text_of(pages["figures/examples.html"])
    sizes = re.findall(r'<img( class="crisp")? src="[^"]*" width="(\d+)" height="(\d+)"', pages["index.html"])
    assert sizes[:3] == [(' class="crisp"', "192", "192")] * 2 + [("", "192", "192")]


def test_what_is_said_is_escaped_and_marked_on_the_page(captioned, tmp_path):
    gallery = shutil.copytree(captioned.gallery, tmp_path / "gallery")
    path = gallery / "captions.json"
    content = json.loads(path.read_text())
    first = content["images"][0]
    first["references"] = ['<script>alert("x")</script> & more']
    first["said"][0] |= {"text": "<b>bold</b> more", "log_likelihood": -6.0, "words": 3}
    first["said"][1] |= {"text": ""}
    path.write_text(json.dumps(content))
    build(captioned.results, gallery, captioned.evidence, tmp_path / "out")
    html = (tmp_path / "out" / "figures" / "examples.html").read_text()
    assert "<script" not in html
    assert "&lt;script&gt;alert(&#34;x&#34;)&lt;/script&gt; &amp; more" in html
    assert "&lt;<mark>b</mark>&gt;<mark>bold</mark>&lt;/<mark>b</mark>&gt; more" in html
    assert "−6.0 nats · 7.39" in html
    assert "(nothing)" in html


def test_an_image_that_is_gone_is_named(captioned, tmp_path):
    gallery = shutil.copytree(captioned.gallery, tmp_path / "gallery")
    (gallery / "test-000041.png").unlink()
    with pytest.raises(UserError, match=r"test-000041.png, named in captions.json, cannot be read"):
        build(captioned.results, gallery, captioned.evidence, tmp_path / "out")
