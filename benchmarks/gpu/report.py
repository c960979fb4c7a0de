"""What is written of a run: a line for each row while it goes on, and one JSON and one Markdown file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.gpu.cases import Row
from benchmarks.gpu.parts import Outcome

JSON, MARKDOWN = "gpu.json", "gpu.md"


def shown(value: float | bool | str) -> str:
    """Returns a value for people: three digits, or all before the point."""
    if isinstance(value, bool):
        return "yes" if value else "**no**"
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 100 or isinstance(value, int) else f"{value:.3g}"


def in_words(row: Row) -> str:
    """Returns a row as a line of text."""
    values = ", ".join(f"{name} {shown(value)}" for name, value in row.values.items())
    return f"{row.case}: {row.reason or values}"


def table(rows: Sequence[Row]) -> str:
    """Returns rows as a table in Markdown, with a column for each name of a value, and one of reasons where any has."""
    names = list(dict.fromkeys(name for row in rows for name in row.values))
    header = ["case", *names, *(["why not"] if any(row.reason for row in rows) else [])]
    lines = [header, [":--", *("--:" for _ in names), *(":--" for _ in header[len(names) + 1 :])]]
    for row in rows:
        cells = [row.case, *(shown(row.values[name]) if name in row.values else "" for name in names)]
        lines.append([*cells, *((row.reason or "").replace("|", "\\|") for _ in header[len(names) + 1 :])])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def write(folder: Path, facts: Mapping[str, Any], outcomes: Sequence[Outcome], seconds: float) -> None:
    """Writes both files into a folder."""
    parts = [
        {"part": each.part.name, "title": each.part.title, "seconds": each.seconds, "rows": [*map(asdict, each.rows)]}
        for each in outcomes
    ]
    content = {"facts": dict(facts), "seconds": seconds, "parts": parts}
    (folder / JSON).write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    on = "; ".join(f"{name}: {value}" for name, value in facts.items())
    sections = [f"# Measured on a device\n\n{on}. It took {seconds:.0f} seconds."]
    sections += [f"## {each.part.title}\n\n{table(each.rows)}" for each in outcomes]
    (folder / MARKDOWN).write_text("\n\n".join(sections) + "\n", encoding="utf-8")
