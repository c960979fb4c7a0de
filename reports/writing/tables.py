"""Tables in the layout of the paper's Table 1, from tidy numbers to Markdown, LaTeX and HTML.

A row is a system, a column a labelled proportion, and a block of rows a metric.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from markupsafe import Markup

from reports.names import Name, percent
from reports.writing.escaping import for_csv, for_latex, for_markdown
from reports.writing.templating import render

BEYOND = "Beyond the paper"
WIDEST = 6  # the most proportions side by side; more are split into stacks, as in the paper


@dataclass(frozen=True)
class Cell:
    """The text of a cell.

    Attributes:
        mean: the mean, or "—".
        spread: its standard deviation, or "".
        note: on the number of repetitions, or "".
        trial_ids: the trials that it is a mean of, separated by blanks.
        mark: follows the mean (`comparison.marks`), or "".
        best: whether plain tables (`listing`) print the mean in bold.
    """

    mean: str = "—"
    spread: str = ""
    note: str = ""
    trial_ids: str = ""
    mark: str = ""
    best: bool = False

    def __str__(self) -> str:
        return self.text()

    def text(self, bold: str = "{}", escape: Callable[[str], str] = str) -> str:
        """Formats the cell for a markup language, given its way to print bold and to escape text."""
        mean = escape(self.mean + self.mark)
        rest = [self.spread and f"± {self.spread}", self.note]
        return " ".join([bold.format(mean) if self.best else mean, *map(escape, filter(None, rest))])


@dataclass(frozen=True)
class Table:
    """A table of one or more blocks, such as top-1 and top-5.

    Attributes:
        caption: above the table.
        note: below the table.
        rows: from system to label, in order.
        proportions: the columns.
        blocks: by title, the cells by (system, proportion). An absent cell was never asked for.
        beyond: the systems beyond the paper, whose rows stand apart in every block.
    """

    caption: str
    note: str
    rows: Mapping[str, str]
    proportions: tuple[float, ...]
    blocks: Mapping[str, Mapping[tuple[str, float], Cell]]
    beyond: frozenset[str] = frozenset()

    def groups(self) -> list[tuple[str, dict[str, str]]]:
        """Returns (heading, rows): the paper's systems without a heading, then those beyond the paper, if any."""
        paper = {system: label for system, label in self.rows.items() if system not in self.beyond}
        beyond = {system: label for system, label in self.rows.items() if system in self.beyond}
        return [group for group in (("", paper), (BEYOND, beyond)) if group[1]]

    def stacks(self) -> list[tuple[float, ...]]:
        """Cuts the proportions into the fewest stacks of equal size that keep each within `WIDEST`."""
        count = math.ceil(len(self.proportions) / WIDEST)
        size = math.ceil(len(self.proportions) / count)
        return [self.proportions[start : start + size] for start in range(0, len(self.proportions), size)]

    def cell(self, block: str, system: str, proportion: float) -> Cell:
        """Returns the cell at that place, or one with "—"."""
        return self.blocks[block].get((system, proportion), Cell())


def cells(
    tidy: pd.DataFrame, titles: Mapping[str, str], usual: int, digits: int = 2
) -> dict[str, dict[tuple[str, float], Cell]]:
    """Formats tidy numbers as the blocks of a table, by title.

    Args:
        tidy: from `statistics.summarise`.
        titles: of the blocks, by metric.
        usual: the usual number of repetitions; a cell with another number notes it.
        digits: decimals.
    """
    blocks: dict[str, dict[tuple[str, float], Cell]] = {title: {} for title in titles.values()}
    for row in tidy.itertuples():
        blocks[titles[row.metric]][row.system, row.proportion] = _cell(row, usual, digits)
    return blocks


def _cell(row: Any, usual: int, digits: int) -> Cell:
    """Formats a row of a tidy table."""
    if row.n == 0:
        return Cell(note=f"(n=0/{row.asked})")
    note = ""
    if row.n != usual or row.asked != usual:
        note = f"(n={row.n})" if row.n == row.asked else f"(n={row.n}/{row.asked})"
    spread = "" if math.isnan(row.std) else f"{row.std:.{digits}f}"
    return Cell(f"{row.mean:.{digits}f}", spread, note, row.trial_ids)


def note(usual: int) -> str:
    """Explains the numbers of a cell, given the usual number of repetitions."""
    if usual == 1:
        spread = "One repetition a cell (n = 1), so no standard deviation"
    else:
        spread = f"Mean ± sample standard deviation over n = {usual} repetitions"
    return f"{spread}; n=a/b: a of the b repetitions asked for finished; —: no result."


def labels(headline: pd.DataFrame, names: Mapping[str, Name]) -> dict[str, str]:
    """Returns the labels of the rows, with the ξ of a system that is not shown at ξ = auto."""
    return {system: _label(name, headline) for system, name in names.items()}


def beyond(names: Mapping[str, Name]) -> frozenset[str]:
    """Returns the systems beyond the paper, whose rows stand apart."""
    return frozenset(system for system, name in names.items() if name.origin == "beyond")


def _label(name: Name, headline: pd.DataFrame) -> str:
    xi = headline.loc[headline["system"] == name.system, "xi"].iloc[0]
    return name.label if xi in ("", "auto") else f"{name.label}, ξ = {xi}"


def markdown(table: Table) -> str:
    """Renders the table for GitHub's Markdown, one pipe table per stack."""
    lines = [f"**{for_markdown(table.caption)}**"]
    for stack in table.stacks():
        lines += ["", pipes(["Proportion", *map(percent, stack)]), pipes([":--", *["--:"] * len(stack)])]
        for block in table.blocks:
            lines.append(heading_row(block, len(stack) + 1))
            for heading, rows in table.groups():
                lines += [heading_row(heading, len(stack) + 1)] if heading else []
                for system, label in rows.items():
                    lines.append(pipes([label, *(table.cell(block, system, proportion) for proportion in stack)]))
    return "\n".join([*lines, "", for_markdown(table.note), ""])


def heading_row(heading: str, width: int) -> str:
    """Renders a row of `width` columns for Markdown, with a heading in the first."""
    return f"| *{for_markdown(heading)}* |{'  |' * (width - 1)}"


def pipes(cells: Sequence[str | Cell]) -> str:
    """Renders a row for Markdown."""
    texts = [cell.text("**{}**", for_markdown) if isinstance(cell, Cell) else for_markdown(cell) for cell in cells]
    return f"| {' | '.join(texts)} |"


def latex(table: Table, label: str) -> str:
    r"""Renders the table as a LaTeX `table` environment for a document with \usepackage{booktabs}."""
    width = len(table.stacks()[0])
    lines = [r"\begin{table}[t]", r"\centering", rf"\caption{{{for_latex(table.caption)}}}"]
    lines += [rf"\label{{{label}}}", r"\small", rf"\begin{{tabular}}{{l{'c' * width}}}"]
    for index, stack in enumerate(table.stacks()):
        lines.append(r"\midrule" if index else r"\toprule")
        lines += [ampersands(_padded(["Proportion", *map(percent, stack)], width + 1)), r"\midrule"]
        for block in table.blocks:
            lines.append(spanning(block, width + 1))
            for heading, rows in table.groups():
                lines += [rf"\cmidrule(lr){{1-{width + 1}}}", spanning(heading, width + 1)] if heading else []
                for system, row in rows.items():
                    texts = [str(table.cell(block, system, proportion)) for proportion in stack]
                    lines.append(ampersands(_padded([row, *texts], width + 1)))
    lines += [
        r"\bottomrule",
        r"\end{tabular}",
        rf"\par\smallskip{{\footnotesize {for_latex(table.note)}}}",
    ]
    return "\n".join([*lines, r"\end{table}", ""])


def _padded(cells: list[str], width: int) -> list[str]:
    return cells + [""] * (width - len(cells))


def tex(text: str | Cell) -> str:
    """Escapes the text of a cell for LaTeX."""
    return text.text(r"\textbf{{{}}}", for_latex) if isinstance(text, Cell) else for_latex(text)


def spanning(heading: str, width: int) -> str:
    """Renders a heading over `width` columns for LaTeX."""
    return rf"\multicolumn{{{width}}}{{l}}{{\emph{{{tex(heading)}}}}} \\"


def ampersands(cells: Sequence[str | Cell]) -> str:
    """Renders a row for LaTeX."""
    return " & ".join(map(tex, cells)).rstrip() + r" \\"


def html(table: Table) -> Markup:
    """Renders the table as an HTML fragment, with the trials of each cell in its title."""
    return render("table.html", table=table)


def files(table: Table, tidy: pd.DataFrame, stem: str) -> dict[str, bytes]:
    """Returns the content of tables/STEM.{csv,md,tex,html} by path; the CSV file holds the tidy numbers."""
    standalone = render("table-page.html", title=table.caption, fragment=html(table))
    return {
        f"tables/{stem}.csv": for_csv(tidy),
        f"tables/{stem}.md": markdown(table).encode(),
        f"tables/{stem}.tex": latex(table, f"tab:{stem}").encode(),
        f"tables/{stem}.html": f"{standalone}\n".encode(),
    }
