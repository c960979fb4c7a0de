"""A report about labels has the recorded text: its numbers and tables change only on purpose."""

from __future__ import annotations

import hashlib
import re

import pytest

POLICY = r'<meta http-equiv="Content-Security-Policy"[^>]*>'  # what a page may load, nothing that it says
# Without that, and without drawings and pictures, whose bytes depend on the versions of what draws them.
RECORDED = {
    "tables/table1.csv": "313419bc810ff655",
    "tables/table1.md": "564d5aa1eaaacd61",
    "tables/table1.tex": "1ba0d2f3c3c81e38",
    "tables/table1.html": "35aa2c2069f16910",
    "tables/differences.md": "77aae60e65637ed8",
    "tables/xi.csv": "56dc0e0257ca40a3",
    "metrics.json": "05fa711065cce4df",
    "plots/accuracy.csv": "01ffc3fe83e94228",
    "answer.md": "a74a0dd06d02faba",
    "answer.html": "c8cf852cd2a2d042",
    "index.html": "23486ef1e4b92266",
}


@pytest.mark.parametrize("name", RECORDED)
def test_a_label_report_is_what_it_was(report, name):
    text = (report / name).read_text(encoding="utf-8")
    text = re.sub(rf"<svg.*?</svg>|data:image/png;base64,[^\"]*|{POLICY}", "", text, flags=re.DOTALL)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == RECORDED[name]
