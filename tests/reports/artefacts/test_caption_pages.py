"""The pages of a report about captions: need nothing else, escape what was said, mark what no reference has."""

from __future__ import annotations

import json
import re
import shutil

import pytest

from reports.__main__ import build
from reports.errors import UserError
from reports.writing.examples import parts, words
from tests.reports.test_main import FIGURE, contents
from tests.reports.test_page import Outline, text_of

FILES = {
    *("index.html", "answer.html", "answer.md", "metrics.json", "plots/captions.csv", "tables/xi.csv"),
    "figures/examples.html",
    *(
        f"tables/{s}.{kind}"
        for s in ("captions", "subsets", "differences", "bound")
        for kind in ("csv", "md", "tex", "html")
    ),
    *(f"figures/{stem}.{kind}" for stem in ("captions", "differences", "xi") for kind in FIGURE),
}


@pytest.fixture(scope="module")
def pages(captioned_report) -> dict[str, str]:
    return {
        name: (captioned_report / name).read_text() for name in ("index.html", "answer.html", "figures/examples.html")
    }


def test_a_report_is_these_files_and_the_same_bytes_again(captioned, captioned_report, tmp_path):
    first = contents(captioned_report)
    assert set(first) == FILES
    build(captioned.results, captioned.gallery, captioned.evidence, tmp_path)
    assert contents(tmp_path) == first


@pytest.mark.parametrize(
    ("name", "leads"),
    [
        ("index.html", {"answer.html", "figures/examples.html"}),
        ("answer.html", {"index.html"}),
        ("figures/examples.html", {"../index.html", "../answer.html"}),
    ],
)
def test_every_page_stands_alone_and_its_links_have_ends(pages, name, leads):
    outline = Outline(pages[name])
    assert outline.open == []
    assert not outline.tags & {"script", "iframe", "object", "embed"}
    assert {value for _, _, value in outline.addresses if not value.startswith(("#", "data:"))} == leads
    assert len(outline.ids) == len(set(outline.ids))
    assert {value[1:] for _, _, value in outline.addresses if value.startswith("#")} <= set(outline.ids)
    assert re.findall(r"url\((?!#)", pages[name]) == []
    assert "nan" not in text_of(pages[name]).lower().replace("finite (nan)", "")


def test_nothing_speaks_of_labels(pages):
    for html in pages.values():
        text = re.sub(r"profile: .*?</pre>", "", html, flags=re.DOTALL)
        assert not re.search(r"labelled|top-1|top-5|of the labels", text_of(text))


def test_the_introduction_speaks_from_the_numbers(pages, captioned):
    def mean(system: str) -> float:
        rows = [r for r in captioned.rows if (r["system"], r["proportion"]) == (system, 0.02) and r["status"] == "done"]
        return sum(r["bleu4"] for r in rows) / len(rows)

    text = text_of(pages["index.html"])
    assert "2%, 10% and 100% of the captions (80 to 4,000 captioned images), 2 times" in text
    assert "CNN + RNN learns from the captioned images alone" in text
    ours, theirs = max(mean("caption"), mean("neighbour")), mean("cnn-rnn")
    assert f"{abs(ours - theirs):.3f} {'above' if ours >= theirs else 'below'}" in text
    assert "19 of 22 trials finished; 1 failed and 2 are missing" in text


def test_the_answer_names_its_numbers(captioned_report, pages):
    markdown = (captioned_report / "answer.md").read_text()
    assert "| VAE + RNN (ours) − CNN + RNN, mean over 2% and 10% |" in markdown
    titles = re.findall(r"^## \d\. (.*): cannot be told with \d repetitions?$", markdown, re.MULTILINE)
    assert len(titles) == 2
    assert all(title in text_of(pages[page]) for title in titles for page in ("answer.html", "index.html"))


def test_the_answer_holds_with_five_repetitions(world, tmp_path):
    sweep = world.write_captioned(tmp_path, world.captioned.grid(5), images=1)
    build(sweep.results, sweep.gallery, sweep.evidence, tmp_path / "out")
    assert (tmp_path / "out" / "answer.md").read_text().count(": holds") == 2
    assert "Nobody" not in (tmp_path / "out" / "index.html").read_text()


def test_every_image_is_on_its_page_and_the_first_eight_on_the_first(pages):
    assert pages["figures/examples.html"].count('<article class="example">') == 10
    assert pages["index.html"].count('<article class="example">') == 8
    assert pages["figures/examples.html"].count("data:image/png;base64,") == 10
    assert "10 test images, evenly spaced over the test part." in text_of(pages["figures/examples.html"])
    sizes = re.findall(r'<img( class="crisp")? src="[^"]*" width="(\d+)" height="(\d+)"', pages["index.html"])
    assert sizes[:3] == [(' class="crisp"', "192", "192")] * 2 + [("", "192", "192")]


def test_words_without_a_reference_are_marked():
    references = ["A red circle, in the middle.", "One well-lit disc"]
    assert parts("a red Square in well-lit grass", references) == [
        ("a red ", False),
        ("Square", True),
        (" in well-lit ", False),
        ("grass", True),
    ]
    assert parts("the middle", references) == [("the middle", False)]
    assert parts("", references) == []
    assert words("It’s well-lit, 3 of them!") == ["it's", "well-lit", "3", "of", "them"]


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


def test_without_captions_subsets_and_pairs_the_rest_is_still_made(world, tmp_path):
    rows = [row for row in world.captioned.grid(1, (0.1,)) if row["system"] == "cnn-rnn"]
    sweep = world.write_captioned(tmp_path, rows, images=1)
    sweep.results.with_name("subsets.csv").unlink()
    (sweep.gallery / "captions.json").unlink()
    build(sweep.results, sweep.gallery, sweep.evidence, tmp_path / "out")
    files = contents(tmp_path / "out")
    assert {name for name in FILES if not re.search(r"examples|subsets|bound", name)} == set(files)
    text = text_of(files["index.html"].decode())
    assert "10% of the captions (400 captioned images), once each" in text
    assert "cannot be said without a pair of systems" in text
    assert 'href="#caption_differences"' not in files["index.html"].decode()


def test_a_sweep_that_has_not_begun_makes_a_report(world, tmp_path):
    rows = world.captioned.grid(2)
    for row in rows:
        world.lose(row, "missing", "")
    sweep = world.write_captioned(tmp_path, rows, images=0)
    (sweep.gallery / "captions.json").unlink()
    build(sweep.results, sweep.gallery, sweep.evidence, tmp_path / "out")
    text = text_of((tmp_path / "out" / "index.html").read_text())
    assert "0 of 22 trials finished" in text
    assert "nan" not in text.lower()
    assert "Java" not in text
