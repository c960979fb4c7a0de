"""The four forms of a table hold the same cells, and these are the numbers they should be."""

from __future__ import annotations

import csv
import re
import statistics
from html.parser import HTMLParser

import pandas as pd
import pytest

from reports.analysis.statistics import headline
from reports.artefacts.published import published_table
from reports.artefacts.table1 import accuracy_table
from reports.inputs.results import read_results
from reports.names import name_systems
from reports.writing import tables

LABELS = ["AlexNet", "GoogLeNet", "BSVM (ours)", "Softmax (ours)"]


class Rows(HTMLParser):
    """The text of every cell of every table row."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.rows: list[list[str]] = []
        self.inside = False
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th"):
            self.inside = False

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.rows[-1][-1] += data


def from_markdown(text: str) -> list[list[str]]:
    rows = [[cell.strip() for cell in line.strip("| ").split("|")] for line in text.splitlines() if line[:1] == "|"]
    return [[cell.strip("*") for cell in row if cell] for row in rows if not row[0].startswith(":-")]


def from_latex(text: str) -> list[list[str]]:
    body = text[text.index(r"\toprule") : text.index(r"\bottomrule")].replace(r"$\pm$", "±").replace("---", "—")
    rows = []
    for line in body.splitlines():
        if line.endswith(r"\\"):
            plain = re.sub(r"\\multicolumn\{\d+\}\{l\}\{\\emph\{(.*)\}\}", r"\1", line[:-2]).replace(r"\%", "%")
            rows.append([cell.strip() for cell in plain.split(" & ")])
    return rows


def cells(rows: list[list[str]]) -> dict[tuple[str, str, str], str]:
    """{(block, row, column): text} of parsed rows, however many stacks they came in."""
    found, block, head = {}, "", []
    for row in rows:
        if row[0] == "Proportion":
            head = row[1:]
        elif len(row) == 1:
            block = row[0]
        else:
            found |= {(block, row[0], column): text for column, text in zip(head, row[1:], strict=True)}
    return found


def test_the_forms_of_table_1_agree_with_each_other_and_with_the_trials(report, sweep_files):
    folder = report / "tables"
    markdown = cells(from_markdown((folder / "table1.md").read_text()))
    assert len(markdown) == 2 * 4 * 5
    assert markdown == cells(from_latex((folder / "table1.tex").read_text()))
    assert markdown == cells(Rows((folder / "table1.html").read_text()).rows)
    for system, label in zip(["alexnet", "googlenet", "bsvm", "softmax"], LABELS, strict=True):
        for proportion in (0.01, 0.05, 0.1, 0.3, 1.0):
            values = [
                row["top1"]
                for row in sweep_files.rows
                if (row["system"], row["proportion"]) == (system, proportion)
                and row["xi"] in ("", "auto")
                and row["status"] == "done"
            ]
            expected = {
                0: "— (n=0/2)",
                1: f"{statistics.fmean(values or [0]):.2f} (n=1/2)",
                2: f"{statistics.fmean(values or [0]):.2f} ± {statistics.stdev([*values, 0, 0][:2]):.2f}",
            }
            assert markdown["top-1", label, f"{100 * proportion:g}%"] == expected[len(values)]


def test_the_tidy_csv_says_whose_numbers_they_are(report, sweep_files):
    rows = list(csv.DictReader((report / "tables" / "table1.csv").open()))
    assert list(rows[0]) == ["metric", "system", "proportion", "mean", "std", "n", "asked", "trial_ids"]
    at = {(row["metric"], row["system"], float(row["proportion"])): row for row in rows}
    assert len(at) == len(rows) == 2 * 4 * 5
    alone, none = at["top5", "alexnet", 0.05], at["top1", "softmax", 0.3]
    (done,) = (r for r in sweep_files.rows if r["trial_id"] == alone["trial_ids"])
    assert float(alone["mean"]) == pytest.approx(done["top5"])
    assert (alone["std"], alone["n"], alone["asked"]) == ("", "1", "2")
    assert (none["mean"], none["std"], none["n"], none["asked"], none["trial_ids"]) == ("", "", "0", "2", "")


@pytest.mark.parametrize("form", ["md", "tex", "html"])
def test_the_published_table_is_the_paper_s(report, form):
    """Typed in from Table 1 of the paper's supplement, digits as printed there."""
    parse = {"md": from_markdown, "tex": from_latex, "html": lambda text: Rows(text).rows}[form]
    text = (report / "tables" / f"published.{form}").read_text()
    found = cells(parse(text))
    assert len(found) == 2 * 4 * 12
    assert found["top-1", "AlexNet", "1%"] == "0.1 ± 0.01"
    assert found["top-1", "BSVM (ours)", "1%"] == "43.98 ± 1.15"
    assert found["top-1", "GoogLeNet", "40%"] == "51.90 ± 0.20"
    assert found["top-1", "Softmax (ours)", "100%"] == "61.53"
    assert found["top-1", "AlexNet", "100%"] == "57.1"
    assert found["top-5", "BSVM (ours)", "20%"] == "75.67 ± 0.19"
    assert found["top-5", "BSVM (ours)", "70%"] == "83.2 ± 0.12"
    assert found["top-5", "GoogLeNet", "90%"] == "86.6 ± 0.09"
    assert found["top-5", "Softmax (ours)", "1%"] == "59.20"
    assert "another dataset: ImageNet 2012" in text


def test_twelve_proportions_are_stacked_in_two_halves_as_in_the_paper():
    table, tidy = published_table()
    assert table.stacks() == [(0.01, 0.05, 0.1, 0.2, 0.3, 0.4), (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)]
    assert tables.latex(table, "tab:x").count("Proportion &") == 2
    assert len(tidy) == 96
    assert tidy["std"].isna().sum() == 2 * (12 + 3)  # none for softmax, none at 100 % for the others


def test_seven_proportions_leave_a_short_second_half_that_still_has_all_its_columns():
    table, _ = published_table()
    seven = tables.Table("c", "n", table.rows, table.proportions[:7], table.blocks)
    assert [len(stack) for stack in seven.stacks()] == [4, 3]
    rows = [line for line in tables.latex(seven, "tab:x").splitlines() if " & " in line]
    assert {line.count("&") for line in rows} == {4}


def test_latex_escapes_what_users_call_their_systems(sweep_files):
    results = read_results(sweep_files.results).replace({"system": {"bsvm": "my_net & co"}})
    rows = headline(results)
    table, _ = accuracy_table(rows, name_systems(rows["system"]), {})
    assert list(table.rows.values()) == ["AlexNet", "GoogLeNet", "Softmax (ours)", "my_net & co"]
    text = tables.latex(table, "tab:table1")
    assert r"my\_net \& co & " in text
    assert r"\usepackage" not in text
    for environment in ("table", "tabular"):
        assert text.count(rf"\begin{{{environment}}}") == text.count(rf"\end{{{environment}}}") == 1
    assert re.search(r"(?<!\\)[%#_]", text) is None


def test_cells_say_when_their_n_is_not_the_usual_one(sweep_files):
    results = read_results(sweep_files.results)
    extra = results[(results["system"] == "googlenet") & (results["seed"] == 0)]
    rows = headline(pd.concat([results[results["system"] != "googlenet"], extra]))
    table, _ = accuracy_table(rows, name_systems(rows["system"]), {})
    assert re.fullmatch(r"[\d.]+ \(n=1\)", str(table.cell("top-1", "googlenet", 0.1)))
    assert re.fullmatch(r"[\d.]+ \(n=1/2\)", str(table.cell("top-1", "alexnet", 0.05)))
    assert str(table.cell("top-1", "alexnet", 0.4242)) == "—"
    assert "n = 2 repetitions" in table.note


def test_a_system_at_another_xi_says_so(sweep_files):
    results = read_results(sweep_files.results)
    rows = headline(results[~((results["system"] == "bsvm") & (results["xi"] != "10"))])
    table, _ = accuracy_table(rows, name_systems(rows["system"]), {})
    assert table.rows["bsvm"] == "BSVM (ours), ξ = 10"
    assert str(table.cell("top-1", "bsvm", 0.01)) == "—"
    assert r"BSVM (ours), $\xi$ = 10" in tables.latex(table, "tab:table1")
