"""The page needs no other file, and shows both results and gaps."""

from __future__ import annotations

import re

import pytest

from reports.__main__ import build
from tests.reports.pages import Outline, text_of


@pytest.fixture(scope="module")
def html(report) -> str:
    return (report / "index.html").read_text(encoding="utf-8")


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


def test_every_trial_and_every_gap_can_be_found(html, sweep_files):
    for row in sweep_files.rows:
        assert row["trial_id"] in html
        if row["status"] == "done":
            assert row["mlflow_run_id"] in html
    assert "the loss of epoch 3 is not finite (nan) &lt;0.05&gt;" in html  # escaped, not swallowed as a tag
    text = text_of(html)
    assert "42 of 46 trials finished; 1 failed and 3 are missing" in text
    assert (
        html.count("— (n=0/2)") + html.count('—<span class="note"> (n=0/2)') == 2 + 3 + 2
    )  # Table 1, calibration, bound


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
