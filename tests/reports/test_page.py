"""The page: needs nothing but itself, shows what there is and what there is not."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from reports.__main__ import build

VOID = {"meta", "link", "img", "br", "hr", "input"}


class Outline(HTMLParser):
    """Everything with an address, every id, and the tags left open."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.addresses: list[tuple[str, str, str]] = []
        self.ids: list[str] = []
        self.tags: set[str] = set()
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            if name in ("src", "href", "xlink:href", "srcset", "data", "poster", "action"):
                self.addresses.append((tag, name, value))
            if name == "id":
                self.ids.append(value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.fixture(scope="module")
def html(report) -> str:
    return (report / "index.html").read_text(encoding="utf-8")


def text_of(html: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<(style|svg).*?</\1>|<[^>]*>", " ", html, flags=re.DOTALL))


def test_the_page_loads_nothing(html):
    outline = Outline(html)
    assert outline.open == []
    assert not outline.tags & {"script", "iframe", "object", "embed"}
    outward = {address for address in outline.addresses if not address[2].startswith(("#", "data:"))}
    assert outward == {("a", "href", "answer.html")}  # followed by a person, not loaded
    assert "@import" not in html
    assert re.findall(r"url\((?!#)", html) == []
    used = re.findall(r'https?://[^"\s<]+', html)
    assert set(used) == {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # names, not addresses


def test_ids_are_unique_and_every_inner_link_has_its_end(html):
    outline = Outline(html)
    assert len(outline.ids) == len(set(outline.ids))
    ends = {value[1:] for _, _, value in outline.addresses if value.startswith("#")}
    assert ends <= set(outline.ids)
    assert {"table1", "figure1", "published", "xi", "gaps", "trials"} <= ends


def test_every_trial_and_every_gap_can_be_found(html, leavings):
    for row in leavings.rows:
        assert row["trial_id"] in html
        if row["status"] == "done":
            assert row["mlflow_run_id"] in html
    assert "the loss of epoch 3 is not finite (nan) &lt;0.05&gt;" in html  # escaped, not swallowed as a tag
    text = text_of(html)
    assert "42 of 46 trials finished; 1 failed and 3 are missing" in text
    assert (
        html.count("— (n=0/2)") + html.count('—<span class="note"> (n=0/2)') == 2 + 3 + 2
    )  # Table 1, calibration, bound


def test_the_introduction_speaks_from_the_numbers(html, leavings):
    def mean(system: str) -> float:
        rows = [r for r in leavings.rows if (r["system"], r["proportion"]) == (system, 0.01)]
        return sum(r["top1"] for r in rows) / len(rows)

    text = text_of(html)
    assert "1%, 5%, 10%, 30% and 100% of the labels (35 to 3,500 labelled images), 2 times" in text
    assert "BSVM (ours) and Softmax (ours) learn from all training images" in text
    ours, theirs = max(mean("bsvm"), mean("softmax")), max(mean("alexnet"), mean("googlenet"))
    assert f"{abs(ours - theirs):.2f} points {'above' if ours >= theirs else 'below'}" in text


def test_settings_versions_machine_and_revision_are_there(html):
    for fact in ("3f1c9e02b7d64a5598aa0d7c41e6b2f08d9c1a77", "2.13.0", "Linux-6.1", "8 min 44 s", "16 min 02 s"):
        assert fact in html
    assert "estimator: exact" in html
    assert html.count("data:image/png;base64,") == 4


def test_a_sweep_that_has_not_begun_makes_a_page(world, tmp_path):
    rows = world.grid(repetitions=1)
    for row in rows:
        world.lose(row, "missing", "")
    sweep = world.write(tmp_path, rows)
    build(sweep.results, sweep.gallery, sweep.evidence, tmp_path / "out")
    text = text_of((tmp_path / "out" / "index.html").read_text())
    assert "0 of 23 trials finished" in text
    assert "No trial finished here." in text
    assert "nan" not in text.lower()
    assert "cannot be told with 0 repetitions" in text
    assert "None" not in text.replace("None:", "")
