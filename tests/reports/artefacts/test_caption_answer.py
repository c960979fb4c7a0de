"""The answer about captions: its claims, its numbers, and its verdicts."""

from __future__ import annotations

import re

import pytest

from reports.__main__ import build
from tests.reports.pages import text_of


@pytest.fixture(scope="module")
def pages(captioned_report) -> dict[str, str]:
    return {
        name: (captioned_report / name).read_text() for name in ("index.html", "answer.html", "figures/examples.html")
    }


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
