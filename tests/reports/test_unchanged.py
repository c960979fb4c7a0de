"""A report about labels has the recorded text: its numbers and tables change only on purpose."""

from __future__ import annotations

import hashlib
import re

import pytest

POLICY = r'<meta http-equiv="Content-Security-Policy"[^>]*>'  # what a page may load, nothing that it says
# Without that, and without drawings and pictures, whose bytes depend on the versions of what draws them.
RECORDED = {
    "tables/table1.csv": "313419bc810ff655",
    "tables/table1.md": "f83fbc6c16306eca",
    "tables/table1.tex": "825bbae637929ea9",
    "tables/table1.html": "d55a7013a5efb43d",
    "tables/differences.md": "cb950088b0f68b57",
    "tables/xi.csv": "56dc0e0257ca40a3",
    "metrics.json": "05fa711065cce4df",
    "plots/accuracy.csv": "01ffc3fe83e94228",
    "answer.md": "8855256cee5874c5",
    "answer.html": "625a162b5112d25b",
    "index.html": "cdb94f25e2730262",
}


@pytest.mark.parametrize("name", RECORDED)
def test_a_label_report_is_what_it_was(report, name):
    text = (report / name).read_text(encoding="utf-8")
    text = re.sub(rf"<svg.*?</svg>|data:image/png;base64,[^\"]*|{POLICY}", "", text, flags=re.DOTALL)
    assert hashlib.sha256(text.encode()).hexdigest()[:16] == RECORDED[name]
