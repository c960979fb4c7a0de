"""The sentences of the introduction follow from the numbers."""

from __future__ import annotations

import pytest

from tests.reports.pages import text_of


@pytest.fixture(scope="module")
def html(report) -> str:
    return (report / "index.html").read_text(encoding="utf-8")


def test_the_introduction_to_labels_speaks_from_the_numbers(html, sweep_files):
    def mean(system: str) -> float:
        rows = [r for r in sweep_files.rows if (r["system"], r["proportion"]) == (system, 0.01)]
        return sum(r["top1"] for r in rows) / len(rows)

    text = text_of(html)
    assert "1%, 5%, 10%, 30% and 100% of the labels (35 to 3,500 labelled images), 2 times" in text
    assert "BSVM (ours) and Softmax (ours) learn from all training images" in text
    ours, theirs = max(mean("bsvm"), mean("softmax")), max(mean("alexnet"), mean("googlenet"))
    assert f"{abs(ours - theirs):.2f} points {'above' if ours >= theirs else 'below'}" in text


@pytest.fixture(scope="module")
def pages(captioned_report) -> dict[str, str]:
    return {
        name: (captioned_report / name).read_text() for name in ("index.html", "answer.html", "figures/examples.html")
    }


def test_the_introduction_to_captions_speaks_from_the_numbers(pages, captioned):
    def mean(system: str) -> float:
        rows = [r for r in captioned.rows if (r["system"], r["proportion"]) == (system, 0.02) and r["status"] == "done"]
        return sum(r["bleu4"] for r in rows) / len(rows)

    text = text_of(pages["index.html"])
    assert "2%, 10% and 100% of the captions (80 to 4,000 captioned images), 2 times" in text
    assert "CNN + RNN learns from the captioned images alone" in text
    ours, theirs = max(mean("caption"), mean("neighbour")), mean("cnn-rnn")
    assert f"{abs(ours - theirs):.3f} {'above' if ours >= theirs else 'below'}" in text
    assert "19 of 22 trials finished; 1 failed and 2 are missing" in text
