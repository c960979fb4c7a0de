"""answer.html and answer.md: the same verdicts in both and on the first page, each with its trials; nothing loaded."""

from __future__ import annotations

import re

import pytest

from tests.reports.pages import Outline, text_of


@pytest.fixture(scope="module")
def pages(rich_report) -> dict[str, str]:
    return {name: (rich_report / name).read_text() for name in ("answer.html", "answer.md", "index.html")}


def test_the_page_stands_alone_and_leads_back(pages):
    outline = Outline(pages["answer.html"])
    assert outline.open == []
    assert not outline.tags & {"script", "iframe", "object", "embed"}
    outward = {address[2] for address in outline.addresses if not address[2].startswith(("#", "data:"))}
    assert outward == {"index.html"}
    assert 'href="answer.html"' in pages["index.html"]
    assert len(outline.ids) == len(set(outline.ids))
    assert {value[1:] for _, _, value in outline.addresses if value.startswith("#")} <= set(outline.ids)


def test_every_form_says_the_same(pages):
    verdicts = re.findall(r"^## \d\. (.*): (holds|does not hold|cannot be told.*)$", pages["answer.md"], re.MULTILINE)
    assert len(verdicts) == 6
    for page in ("answer.html", "index.html"):
        text = text_of(pages[page])
        assert all(f"{title} {verdict}" in text for title, verdict in verdicts)
    for claim in ("made", "labels", "Simes", "5 % level"):
        assert claim in pages["answer.md"]


def test_the_made_up_averaging_helps_and_xi_0_is_worse(pages, rich):
    """In the fixture the mean code is 0.2 points below in every trial, and ξ = 0 twenty points below."""
    assert re.search(r"Averaging over codes helps: holds", pages["answer.md"])
    assert re.search(r"ξ = auto is above ξ = 0: holds", pages["answer.md"])
    assert "+0.20 | +0.20 to +0.20 | 5 of 5 | 0.0312 |" in pages["answer.md"]
    zero = [row["trial_id"] for row in rich.rows if row["xi"] == 0.0]
    assert all(trial in pages["answer.md"] and trial in pages["answer.html"] for trial in zero)


def test_there_is_a_pick_for_every_proportion(pages):
    rows = re.findall(r"^\| (\d+%) \| .* \|$", pages["answer.md"], re.MULTILINE)
    assert rows == ["1%", "5%", "10%", "30%", "100%"]
    assert "nan" not in text_of(pages["answer.html"]).lower()


def test_systems_beyond_the_paper_stand_apart_in_table_1(rich_report):
    lines = (rich_report / "tables" / "table1.md").read_text().splitlines()
    heads = [place for place, line in enumerate(lines) if "*Beyond the paper*" in line]
    assert len(heads) == 2
    assert [line.split("|")[1].strip() for line in lines[heads[0] + 1 : heads[0] + 4]] == [
        "Transductive BSVM",
        "M2 (Kingma et al. 2014)",
        "AlexNet + pseudo-labels",
    ]
    assert lines[heads[0] - 1].startswith("| Softmax (ours)")
    tex = (rich_report / "tables" / "table1.tex").read_text()
    assert tex.count(r"\cmidrule(lr){1-6}") == 2
    assert (rich_report / "tables" / "table1.html").read_text().count('class="block apart"') == 2
