"""A part's failures are told in one line each and stop nothing else, and no part takes longer than it may."""

import json
import time

import pytest

from benchmarks.gpu import running
from benchmarks.gpu.cases import Row
from benchmarks.gpu.parts import NO_TIME, Part
from benchmarks.gpu.report import JSON, MARKDOWN, in_words, shown, table, write
from benchmarks.gpu.running import Run

pytestmark = pytest.mark.slow
BROKEN = Part("tests.benchmarks.broken_part", "Broken on purpose", {"cpu": 1})


@pytest.fixture(scope="module")
def run():
    """A run of a part whose cases fail, and of one whose module is not there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(running, "GRACE", 0.5)
        told = []
        run = Run([BROKEN, Part("tests.benchmarks.no_such_part", "Missing", {"cpu": 1})], "cpu", 90, told.append)
        started = time.monotonic()
        run.outcomes_taken = list(run.outcome_of_each())
        run.told, run.wall = told, time.monotonic() - started
        return run


def rows_of(run, number=0):
    return {row.case: row for row in run.outcomes_taken[number].rows}


def test_cases_that_work_have_their_values(run):
    rows = rows_of(run)
    assert rows["right"] == Row("right", {"value": 1.5, "holds": True})
    assert rows["as large elsewhere"].values == {"value": 4.0}
    assert rows["after the dead"].values == {"value": 3.0}


def test_what_fails_says_why_in_one_line(run):
    rows = rows_of(run)
    assert rows["faulty"] == Row("faulty", reason="ValueError: first line", failed=True)
    assert rows["dead"] == Row("dead", reason="its process ended with code 9", failed=True)
    assert rows["endless"] == Row("endless", reason="killed: it took too long", failed=True)
    assert rows["never reached"] == Row("never reached", reason=NO_TIME)


def test_what_does_not_fit_is_no_failure_and_nothing_larger_is_tried(run):
    rows = rows_of(run)
    assert (rows["large"].reason, rows["large"].failed) == ("OutOfMemoryError: out of memory: 3 TiB", False)
    assert rows["larger"] == Row("larger", reason="not tried: a smaller one does not fit")
    assert rows["not here"] == Row("not here", reason="needs another device")


def test_what_is_wrong_is_counted(run):
    assert [name for name, row in rows_of(run).items() if row.wrong] == ["wrong", "faulty", "dead", "endless"]


def test_a_part_that_cannot_begin_is_named_and_the_run_ends_in_time(run):
    assert [row.failed for row in rows_of(run, 1).values()] == [True]
    assert run.wall < 120


def test_each_row_is_told_with_the_time_that_is_left(run):
    assert len(run.told) == 11  # all but the one that was never reached, and the part that is not there
    assert run.told[0].endswith(" left")
    assert "broken_part 1/11  right: value 1.5, holds yes; about " in run.told[0]


def test_both_files_hold_every_row(run, tmp_path):
    write(tmp_path, {"device": "cpu"}, run.outcomes_taken, 12.0)
    content = json.loads((tmp_path / JSON).read_text())
    assert [row["case"] for row in content["parts"][0]["rows"]] == list(rows_of(run))
    page = (tmp_path / MARKDOWN).read_text()
    assert "| wrong | 2.5 | **no** |  |" in page
    assert "| dead |  |  | its process ended with code 9 |" in page


def test_a_table_has_a_column_for_each_value():
    rows = [Row("a", {"x": 1, "y": True}), Row("b", {"z": "w"}), Row("c", reason="a | b")]
    assert table(rows).splitlines() == [
        "| case | x | y | z | why not |",
        "| :-- | --: | --: | --: | :-- |",
        "| a | 1 | yes |  |  |",
        "| b |  |  | w |  |",
        "| c |  |  |  | a \\| b |",
    ]
    assert in_words(rows[0]) == "a: x 1, y yes"


@pytest.mark.parametrize(
    ("value", "text"), [(1234567, "1,234,567"), (1234.56, "1,235"), (0.012345, "0.0123"), (False, "**no**"), (7, "7")]
)
def test_values_have_three_digits(value, text):
    assert shown(value) == text
