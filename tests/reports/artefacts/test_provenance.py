"""The settings, versions, machine and revision are on the page."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def html(report) -> str:
    return (report / "index.html").read_text(encoding="utf-8")


def test_settings_versions_machine_and_revision_are_there(html):
    for fact in ("3f1c9e02b7d64a5598aa0d7c41e6b2f08d9c1a77", "2.13.0", "Linux-6.1", "8 min 44 s", "16 min 02 s"):
        assert fact in html
    assert "estimator: exact" in html
    assert html.count("data:image/png;base64,") == 4
