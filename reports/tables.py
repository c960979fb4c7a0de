"""Tables in the layout of the paper's Table 1, from tidy numbers to Markdown, LaTeX and HTML."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import pandas as pd
from markupsafe import Markup

from reports.names import Name, percent
from reports.statistics import ACCURACIES, summarise
from reports.templating import render

WIDEST = 6  # proportions side by side; more are split over stacked halves, as in the paper


@dataclass(frozen=True)
class Cell:
    """What a cell says: `mean` and `spread` ("" without) as text, a `note` on its n, and its trials."""

    mean: str = "—"
    spread: str = ""
    note: str = ""
    trial_ids: str = ""

    def __str__(self) -> str:
        return " ".join(filter(None, [self.mean, self.spread and f"± {self.spread}", self.note]))


@dataclass(frozen=True)
class Table:
    """Blocks (top-1, top-5) of cells by (system, proportion); a cell that is absent was never asked for."""

    caption: str
    note: str
    rows: Mapping[str, str]  # system → label, in order
    proportions: tuple[float, ...]
    blocks: Mapping[str, Mapping[tuple[str, float], Cell]]

    def stacks(self) -> list[tuple[float, ...]]:
        """The proportions, cut into as few equal stacks as keep each within `WIDEST`."""
        count = math.ceil(len(self.proportions) / WIDEST)
        size = math.ceil(len(self.proportions) / count)
        return [self.proportions[start : start + size] for start in range(0, len(self.proportions), size)]

    def cell(self, block: str, system: str, proportion: float) -> Cell:
        """The cell at that place, "—" where there is none."""
        return self.blocks[block].get((system, proportion), Cell())


def table1(headline: pd.DataFrame, names: Mapping[str, Name]) -> tuple[Table, pd.DataFrame]:
    """Table 1 of these trials (`statistics.headline`), and its tidy numbers: metric, system, proportion,
    mean, std, n, asked, trial_ids. A cell whose n is not the table's usual one says so."""
    tidy = summarise(headline, list(ACCURACIES), ["system", "proportion"])
    usual = int(tidy["asked"].mode().max())
    blocks: dict[str, dict[tuple[str, float], Cell]] = {title: {} for title in ACCURACIES.values()}
    for row in tidy.itertuples():
        blocks[ACCURACIES[row.metric]][row.system, row.proportion] = _cell(row, usual)
    table = Table(
        caption=f"Classification accuracy (%) on the test images of {headline['dataset'].iloc[0]} by the "
        "proportion of training images with labels.",
        note=_note(usual),
        rows={system: _label(name, headline) for system, name in names.items()},
        proportions=tuple(sorted(tidy["proportion"].unique())),
        blocks=blocks,
    )
    return table, tidy


def _cell(row: tuple, usual: int) -> Cell:
    if row.n == 0:
        return Cell(note=f"(n=0/{row.asked})")
    note = ""
    if row.n != usual or row.asked != usual:
        note = f"(n={row.n})" if row.n == row.asked else f"(n={row.n}/{row.asked})"
    spread = "" if math.isnan(row.std) else f"{row.std:.2f}"
    return Cell(f"{row.mean:.2f}", spread, note, row.trial_ids)


def _note(usual: int) -> str:
    if usual == 1:
        spread = "One repetition a cell (n = 1), so no standard deviation"
    else:
        spread = f"Mean ± sample standard deviation over n = {usual} repetitions"
    return f"{spread}; n=a/b: a of the b repetitions asked for finished; —: no result."


def _label(name: Name, headline: pd.DataFrame) -> str:
    """A system's label, with its ξ where that is not the usual one."""
    xi = headline.loc[headline["system"] == name.system, "xi"].iloc[0]
    return name.label if xi in ("", "auto") else f"{name.label}, ξ = {xi}"


def markdown(table: Table) -> str:
    """The table for GitHub's Markdown, one pipe table a stack."""
    lines = [f"**{table.caption}**"]
    for stack in table.stacks():
        lines += ["", _pipes(["Proportion", *map(percent, stack)]), _pipes([":--", *["--:"] * len(stack)])]
        for block in table.blocks:
            lines.append(_pipes([f"*{block}*", *[""] * len(stack)]))
            for system, label in table.rows.items():
                cells = [str(table.cell(block, system, proportion)) for proportion in stack]
                lines.append(_pipes([label.replace("|", r"\|"), *cells]))
    return "\n".join([*lines, "", table.note, ""])


def _pipes(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


_TEX = str.maketrans(
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"±": r"$\pm$", "—": "---", "ξ": r"$\xi$"}
)


def latex(table: Table, label: str) -> str:
    r"""The table as a LaTeX `table` environment for a document with \usepackage{booktabs}."""
    width = len(table.stacks()[0])
    lines = [r"\begin{table}[t]", r"\centering", rf"\caption{{{table.caption.translate(_TEX)}}}"]
    lines += [rf"\label{{{label}}}", r"\small", rf"\begin{{tabular}}{{l{'c' * width}}}"]
    for index, stack in enumerate(table.stacks()):
        lines.append(r"\midrule" if index else r"\toprule")
        lines += [_ampersands(["Proportion", *map(percent, stack)], width), r"\midrule"]
        for block in table.blocks:
            lines.append(rf"\multicolumn{{{width + 1}}}{{l}}{{\emph{{{block}}}}} \\")
            for system, row in table.rows.items():
                cells = [str(table.cell(block, system, proportion)) for proportion in stack]
                lines.append(_ampersands([row, *cells], width))
    lines += [
        r"\bottomrule",
        r"\end{tabular}",
        rf"\par\smallskip{{\footnotesize {table.note.translate(_TEX)}}}",
    ]
    return "\n".join([*lines, r"\end{table}", ""])


def _ampersands(cells: list[str], width: int) -> str:
    padded = cells + [""] * (width + 1 - len(cells))
    return " & ".join(cell.translate(_TEX) for cell in padded).rstrip() + r" \\"


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
