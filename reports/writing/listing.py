"""Plain tables as Markdown, LaTeX and HTML, beside a CSV file with the unformatted numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from reports.writing import tables
from reports.writing.escaping import for_csv, for_latex, for_markdown
from reports.writing.tables import Cell
from reports.writing.templating import render

Row = Sequence[str | Cell]


@dataclass(frozen=True)
class Listing:
    """A table of rows in groups.

    Attributes:
        caption: above the table.
        head: the headings of the columns.
        groups: rows by the heading of their group, "" for none.
        note: below the table.
        words: the number of columns, from the left, that hold words and not numbers.
        dense: whether it is set in smaller type.
    """

    caption: str
    head: Row
    groups: Mapping[str, Sequence[Row]]
    note: str = ""
    words: int = 1
    dense: bool = False


def markdown(listing: Listing) -> str:
    """Renders the table for GitHub's Markdown."""
    width = len(listing.head)
    rules = [":--" if place < listing.words else "--:" for place in range(width)]
    lines = [f"**{for_markdown(listing.caption)}**", "", tables.pipes(listing.head), tables.pipes(rules)]
    for heading, rows in listing.groups.items():
        lines += [tables.heading_row(heading, width)] if heading else []
        lines += [tables.pipes(row) for row in rows]
    return "\n".join([*lines, "", *([for_markdown(listing.note), ""] if listing.note else [])])


def latex(listing: Listing, label: str) -> str:
    r"""Renders the table as a LaTeX `table` environment for a document with \usepackage{booktabs}."""
    width = len(listing.head)
    columns = "l" * listing.words + "r" * (width - listing.words)
    lines = [r"\begin{table}[t]", r"\centering", rf"\caption{{{for_latex(listing.caption)}}}", rf"\label{{{label}}}"]
    lines += [r"\scriptsize\setlength{\tabcolsep}{3pt}" if listing.dense else r"\small"]
    lines += [rf"\begin{{tabular}}{{{columns}}}", r"\toprule", tables.ampersands(listing.head)]
    for heading, rows in listing.groups.items():
        lines.append(r"\midrule")
        lines += [tables.spanning(heading, width)] if heading else []
        lines += [tables.ampersands(row) for row in rows]
    lines += [r"\bottomrule", r"\end{tabular}"]
    lines += [rf"\par\smallskip{{\footnotesize {for_latex(listing.note)}}}"] if listing.note else []
    return "\n".join([*lines, r"\end{table}", ""])


def html(listing: Listing) -> Markup:
    """Renders the table as an HTML fragment."""
    return render("listing.html", listing=listing)


def files(listing: Listing, tidy: pd.DataFrame, stem: str) -> dict[str, bytes]:
    """Returns the content of tables/STEM.{csv,md,tex,html} by path; the CSV file holds the tidy numbers."""
    standalone = render("table-page.html", title=listing.caption, fragment=html(listing))
    return {
        f"tables/{stem}.csv": for_csv(tidy),
        f"tables/{stem}.md": markdown(listing).encode(),
        f"tables/{stem}.tex": latex(listing, f"tab:{stem}").encode(),
        f"tables/{stem}.html": f"{standalone}\n".encode(),
    }
