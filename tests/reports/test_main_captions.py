"""`python -m reports` on results about captions: files, bytes, and pages that stand alone."""

from __future__ import annotations

import re

import pytest

from reports.__main__ import build
from tests.reports.pages import Outline, text_of
from tests.reports.test_main import FIGURE, contents

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
