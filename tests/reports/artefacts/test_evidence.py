"""The sections made from the evidence; what is absent makes no section."""

from __future__ import annotations

import json

from reports.__main__ import build


def test_what_is_absent_makes_no_section(sweep_files, report, rich_report):
    bare, full = ((folder / "index.html").read_text() for folder in (report, rich_report))
    for section in ("estimators", "search"):
        assert f'<section id="{section}">' in full
        assert f'<section id="{section}">' not in bare
    assert "figures/averaging.svg" not in bare
    assert '<section id="calibration">' in bare


def test_one_study_of_estimators_without_the_other(rich, tmp_path):
    for name in ("estimators-gradient.csv", "estimators-training.csv"):
        evidence = tmp_path / name
        evidence.mkdir()
        (evidence / name).write_bytes((rich.evidence / name).read_bytes())
        build(rich.results, rich.gallery, evidence, tmp_path / f"out-{name}")
        tables = {path.name for path in (tmp_path / f"out-{name}" / "tables").glob("estimators-*.csv")}
        assert tables == {name}


def test_numbers_of_the_search_are_in_its_table(rich_report):
    text = (rich_report / "tables" / "search.md").read_text()
    assert "| learning_rate | 1e-4 to 1e-1, log | 0.00217 | 0.90 |" in text
    page = (rich_report / "index.html").read_text()
    assert "92.00 % (trial 2)" in page
    assert "2 complete, 1 pruned, 1 failed" in page
    assert json.dumps("nan")[1:-1] not in text
