"""Tables in the layout of the paper's Table 1, from tidy numbers to Markdown, LaTeX and HTML."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import pandas as pd
from markupsafe import Markup

from reports.analysis.statistics import summarise
from reports.kinds import ACCURACIES
from reports.names import Name, percent
from reports.writing.templating import render

BEYOND = "Beyond the paper"
WIDEST = 6  # proportions side by side; more are split over stacked halves, as in the paper

MARKS = (
    "▲ / ▼: in top-1 above / below every system that learns from labelled images alone, by paired sign-flip tests "
    "after Holm’s correction over all comparisons of single proportions, at the 5 % level."
)


@dataclass(frozen=True)
class Cell:
    """What a cell says: `mean`, its `mark` and `spread` ("" without) as text, a `note` on its n, and its trials.
    The mean of a `best` cell is printed bold in plain tables (`listing`)."""

    mean: str = "—"
    spread: str = ""
    note: str = ""
    trial_ids: str = ""
    mark: str = ""
    best: bool = False

    def __str__(self) -> str:
        return self.text()

    def text(self, bold: str = "{}", escape: Callable[[str], str] = str) -> str:
        """The cell in a language that has `bold` and wants text escaped."""
        mean = escape(self.mean + self.mark)
        rest = [self.spread and f"± {self.spread}", self.note]
        return " ".join([bold.format(mean) if self.best else mean, *map(escape, filter(None, rest))])


@dataclass(frozen=True)
class Table:
    """Blocks (top-1, top-5) of cells by (system, proportion); a cell that is absent was never asked for.
    The rows of systems `beyond` the paper stand apart in every block."""

    caption: str
    note: str
    rows: Mapping[str, str]  # system → label, in order
    proportions: tuple[float, ...]
    blocks: Mapping[str, Mapping[tuple[str, float], Cell]]
    beyond: frozenset[str] = frozenset()

    def groups(self) -> list[tuple[str, dict[str, str]]]:
        """(heading, rows): the paper's without a heading, then those beyond it, where there are any."""
        paper = {system: label for system, label in self.rows.items() if system not in self.beyond}
        beyond = {system: label for system, label in self.rows.items() if system in self.beyond}
        return [group for group in (("", paper), (BEYOND, beyond)) if group[1]]

    def stacks(self) -> list[tuple[float, ...]]:
        """The proportions, cut into as few equal stacks as keep each within `WIDEST`."""
        count = math.ceil(len(self.proportions) / WIDEST)
        size = math.ceil(len(self.proportions) / count)
        return [self.proportions[start : start + size] for start in range(0, len(self.proportions), size)]

    def cell(self, block: str, system: str, proportion: float) -> Cell:
        """The cell at that place, "—" where there is none."""
        return self.blocks[block].get((system, proportion), Cell())


def table1(
    headline: pd.DataFrame, names: Mapping[str, Name], marks: Mapping[tuple[str, float], str]
) -> tuple[Table, pd.DataFrame]:
    """Table 1 of these trials (`statistics.headline`), and its tidy numbers: metric, system, proportion,
    mean, std, n, asked, trial_ids. A cell whose n is not the table's usual one says so; `marks` (as
    `comparison.marks`) stand at the top-1 means."""
    tidy = summarise(headline, list(ACCURACIES), ["system", "proportion"])
    usual = int(tidy["asked"].mode().max())
    blocks = cells(tidy, ACCURACIES, usual)
    for place, mark in marks.items():
        blocks["top-1"][place] = replace(blocks["top-1"][place], mark=mark)
    table = Table(
        caption=f"Classification accuracy (%) on the test images of {headline['dataset'].iloc[0]} by the "
        "proportion of training images with labels.",
        note=f"{note(usual)} {MARKS}",
        rows=labels(headline, names),
        proportions=tuple(sorted(tidy["proportion"].unique())),
        blocks=blocks,
        beyond=beyond(names),
    )
    return table, tidy


def cells(
    tidy: pd.DataFrame, titles: Mapping[str, str], usual: int, digits: int = 2
) -> dict[str, dict[tuple[str, float], Cell]]:
    """The blocks of a table, by title, of tidy numbers (`statistics.summarise`), whose usual n is known."""
    blocks: dict[str, dict[tuple[str, float], Cell]] = {title: {} for title in titles.values()}
    for row in tidy.itertuples():
        blocks[titles[row.metric]][row.system, row.proportion] = _cell(row, usual, digits)
    return blocks


def _cell(row: tuple, usual: int, digits: int) -> Cell:
    if row.n == 0:
        return Cell(note=f"(n=0/{row.asked})")
    note = ""
    if row.n != usual or row.asked != usual:
        note = f"(n={row.n})" if row.n == row.asked else f"(n={row.n}/{row.asked})"
    spread = "" if math.isnan(row.std) else f"{row.std:.{digits}f}"
    return Cell(f"{row.mean:.{digits}f}", spread, note, row.trial_ids)


def note(usual: int) -> str:
    """What a cell's numbers are."""
    if usual == 1:
        spread = "One repetition a cell (n = 1), so no standard deviation"
    else:
        spread = f"Mean ± sample standard deviation over n = {usual} repetitions"
    return f"{spread}; n=a/b: a of the b repetitions asked for finished; —: no result."


def labels(headline: pd.DataFrame, names: Mapping[str, Name]) -> dict[str, str]:
    """The rows' labels, with a system's ξ where that is not the usual one."""
    return {system: _label(name, headline) for system, name in names.items()}


def beyond(names: Mapping[str, Name]) -> frozenset[str]:
    """The systems whose rows stand apart."""
    return frozenset(system for system, name in names.items() if name.origin == "beyond")


def _label(name: Name, headline: pd.DataFrame) -> str:
    xi = headline.loc[headline["system"] == name.system, "xi"].iloc[0]
    return name.label if xi in ("", "auto") else f"{name.label}, ξ = {xi}"


def markdown(table: Table) -> str:
    """The table for GitHub's Markdown, one pipe table a stack."""
    lines = [f"**{table.caption}**"]
    for stack in table.stacks():
        lines += ["", pipes(["Proportion", *map(percent, stack)]), pipes([":--", *["--:"] * len(stack)])]
        for block in table.blocks:
            lines.append(pipes([f"*{block}*", *[""] * len(stack)]))
            for heading, rows in table.groups():
                lines += [pipes([f"*{heading}*", *[""] * len(stack)])] if heading else []
                for system, label in rows.items():
                    texts = [str(table.cell(block, system, proportion)) for proportion in stack]
                    lines.append(pipes([label, *texts]))
    return "\n".join([*lines, "", table.note, ""])


def pipes(cells: Sequence[str | Cell]) -> str:
    """A row for Markdown."""
    texts = [(cell.text("**{}**") if isinstance(cell, Cell) else cell).replace("|", "\\|") for cell in cells]
    return f"| {' | '.join(texts)} |"


_TEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"±": r"$\pm$", "—": "---", "ξ": r"$\xi$", "≤": r"$\le$", "−": "$-$"}
    | {"▲": r"$\bigtriangleup$", "▼": r"$\bigtriangledown$", "’": "'", "×": r"$\times$"}
)


def latex(table: Table, label: str) -> str:
    r"""The table as a LaTeX `table` environment for a document with \usepackage{booktabs}."""
    width = len(table.stacks()[0])
    lines = [r"\begin{table}[t]", r"\centering", rf"\caption{{{table.caption.translate(_TEX)}}}"]
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
        rf"\par\smallskip{{\footnotesize {table.note.translate(_TEX)}}}",
    ]
    return "\n".join([*lines, r"\end{table}", ""])


def _padded(cells: list[str], width: int) -> list[str]:
    return cells + [""] * (width - len(cells))


def tex(text: str | Cell) -> str:
    """Text with what LaTeX would take as a command escaped."""
    return text.text(r"\textbf{{{}}}", tex) if isinstance(text, Cell) else text.translate(_TEX)


def spanning(heading: str, width: int) -> str:
    """A heading over `width` columns, for LaTeX."""
    return rf"\multicolumn{{{width}}}{{l}}{{\emph{{{tex(heading)}}}}} \\"


def ampersands(cells: Sequence[str | Cell]) -> str:
    """A row for LaTeX."""
    return " & ".join(map(tex, cells)).rstrip() + r" \\"


def html(table: Table) -> Markup:
    """The table as an HTML fragment: one <table> a stack, each cell's trials in its title."""
    return render("table.html", table=table)


def files(table: Table, tidy: pd.DataFrame, stem: str) -> dict[str, bytes]:
    """Content of tables/STEM.{csv,md,tex,html}, by path; the CSV holds the tidy numbers."""
    standalone = render("table-page.html", title=table.caption, fragment=html(table))
    return {
        f"tables/{stem}.csv": tidy.to_csv(index=False, lineterminator="\n", float_format="%.10g").encode(),
        f"tables/{stem}.md": markdown(table).encode(),
        f"tables/{stem}.tex": latex(table, f"tab:{stem}").encode(),
        f"tables/{stem}.html": f"{standalone}\n".encode(),
    }
