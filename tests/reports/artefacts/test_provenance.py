"""The settings, versions, machine and revision are on the page."""

from __future__ import annotations

import pandas as pd
import pytest

from reports.artefacts.provenance import computed_on


@pytest.fixture(scope="module")
def html(report) -> str:
    return (report / "index.html").read_text(encoding="utf-8")


def test_settings_versions_machine_and_revision_are_there(html):
    for fact in ("3f1c9e02b7d64a5598aa0d7c41e6b2f08d9c1a77", "2.13.0", "Linux-6.1", "8 min 44 s", "16 min 02 s"):
        assert fact in html
    assert "estimator: exact" in html
    assert html.count("data:image/png;base64,") == 4


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ([("cpu", "1"), ("cpu", "1")], []),
        ([("cpu", ""), ("cpu", "")], []),
        ([("cpu", "1"), ("cpu", "2")], ["cpu with 1 thread", "cpu with 2 threads"]),
        ([("cpu", "1"), ("cpu", "1, then 2")], ["cpu with 1 thread", "cpu with 1, then 2 threads"]),
        ([("cpu", "1"), ("H100", "1")], ["H100 with 1 thread", "cpu with 1 thread"]),
        ([("cpu", "1"), ("cpu", "")], ["cpu with 1 thread", "cpu with an unknown number of threads"]),
    ],
)
def test_a_table_that_mixes_devices_or_threads_says_so(rows, told):
    done = [{"status": "done", "device": device, "threads": threads} for device, threads in rows]
    failed = {"status": "failed", "device": "", "threads": ""}
    assert computed_on(pd.DataFrame([*done, failed])) == told


def test_a_table_without_a_column_of_threads_says_nothing(html):
    assert "were computed on" not in html
