"""Reads CSV files into checked, typed tables; a mistake is one message with file, line, column, value and remedy."""

from __future__ import annotations

import csv
from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from reports.errors import UserError
from reports.foreign_text import is_one_line
from reports.inputs.paths import cannot_read, check_ordinary, shortened

NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
LARGEST = 1e100  # a number beyond it is a mistake, and its square would still be finite
LARGEST_WHOLE = 2**53  # the largest for which a float64 has all digits
MOST_ROWS = 100_000
LONGEST_NAME = 200  # characters


def read_columns(path: Path, columns: Mapping[str, str], never_empty: Collection[str], remedy: str) -> pd.DataFrame:
    """Reads the table at `path` with typed columns; columns that are not in `columns` are kept as text.

    The table's index holds the lines of the file.

    Args:
        columns: the kind of each column. "text" is never missing, "" instead; "name" is text of one line; "whole"
            becomes Int64; "number" becomes float64.
        never_empty: columns in which every row must have a value.
        remedy: what the user can do, the end of every message.

    Raises:
        UserError: the file cannot be read or lacks a column, or a value is empty or not of its kind.
    """
    return typed(path, _read_text(path, remedy), columns, never_empty, remedy)


def typed(
    path: Path, table: pd.DataFrame, columns: Mapping[str, str], never_empty: Collection[str], remedy: str
) -> pd.DataFrame:
    """Converts these columns of a table of stripped text to their kinds, as `read_columns` does."""
    absent = [column for column in columns if column not in table.columns]
    if absent:
        raise UserError(f"{path} lacks the column(s) {', '.join(absent)}; {remedy}")
    table = table.copy()
    for column, kind in columns.items():
        if column in never_empty:
            refuse(path, table, column, table[column] == "", "is empty", remedy)
        if kind == "name":
            _check_names(path, table, column, remedy)
        elif kind != "text":
            table[column] = numbers(path, table, column, kind, remedy)
    return table


def refuse(path: Path, table: pd.DataFrame, column: str, bad: pd.Series, what: str, remedy: str) -> None:
    """Raises a UserError for the first row where `bad` holds."""
    bad = bad.fillna(False)
    if bad.any():
        row = int(bad.to_numpy(bool).argmax())
        value = table[column].iloc[row]
        shown = shortened(repr(value)) if isinstance(value, str) else str(value)
        raise UserError(f"{path}, line {table.index[row]}: {column} {shown} {what}; {remedy}")


def refuse_outside(
    path: Path, table: pd.DataFrame, columns: Collection[str], low: float, high: float, remedy: str
) -> None:
    """Raises a UserError for the first value of these columns that is given and not within [low, high]."""
    percentage = (low, high) == (0, 100)
    what = "is not a percentage" if percentage else f"is below {low:g}" if high >= LARGEST else f"is above {high:g}"
    for column in columns:
        refuse(path, table, column, ~table[column].between(low, high) & table[column].notna(), what, remedy)


def numbers(path: Path, table: pd.DataFrame, column: str, kind: str, remedy: str) -> pd.Series:
    """Converts a column of text to float64 ("number") or Int64 ("whole"); empty text is missing.

    Raises:
        UserError: for any other text, such as "nan" and "inf", and for a number of absurd size.
    """
    text = table[column]
    given = text != ""
    refuse(path, table, column, given & ~text.str.fullmatch(NUMBER), "is not a number", remedy)
    values = pd.to_numeric(text.where(given), errors="coerce").astype("float64")
    refuse(path, table, column, values.abs() > LARGEST, "is too large", remedy)
    if kind == "number":
        return values
    refuse(path, table, column, values.notna() & (values % 1 != 0), "is not a whole number", remedy)
    refuse(path, table, column, values.abs() > LARGEST_WHOLE, "is too large", remedy)
    return values.astype("Int64")


def _check_names(path: Path, table: pd.DataFrame, column: str, remedy: str) -> None:
    seen = table[column].drop_duplicates()
    hidden, long = seen[~seen.map(is_one_line).astype(bool)], seen[seen.str.len() > LONGEST_NAME]
    refuse(path, table, column, table[column].isin(hidden), "has a character that cannot be seen", remedy)
    refuse(path, table, column, table[column].isin(long), f"is longer than {LONGEST_NAME} characters", remedy)


def _read_text(path: Path, remedy: str) -> pd.DataFrame:
    """Reads a table of stripped text, with the number of its line in the file as the index of a row."""
    try:
        check_ordinary(path, remedy)
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            rows = (row for row in reader if row)  # a line without anything is no row
            head = [name.strip() for name in next(rows, [])]
            _check_head(path, head, remedy)
            cells: list[list[str]] = []
            lines: list[int] = []
            for row in rows:
                if len(row) != len(head):
                    what = f"has {len(row)} values, its header {len(head)} columns"
                    raise UserError(f"{path}, line {reader.line_num} {what}; {remedy}")
                if len(cells) == MOST_ROWS:
                    raise UserError(f"{path} has more than {MOST_ROWS:,} rows, more than a report can show; {remedy}")
                cells.append([value.strip() for value in row])
                lines.append(reader.line_num)
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; {remedy}") from None
    except (csv.Error, UnicodeDecodeError) as error:
        raise UserError(f"{path} cannot be read as CSV ({error}); {remedy}") from None
    except (OSError, ValueError) as error:
        raise cannot_read(path, error, remedy) from None
    return pd.DataFrame(cells, index=lines, columns=head, dtype=str)


def _check_head(path: Path, head: list[str], remedy: str) -> None:
    if not head:
        raise UserError(f"{path} is empty; {remedy}")
    twice = [name for name in head if head.count(name) > 1]
    if twice:
        raise UserError(f"{path} has the column {shortened(repr(twice[0]))} twice; {remedy}")
    if len(head) == 1 and (";" in head[0] or "\t" in head[0]):
        raise UserError(f"{path} has its columns separated by semicolons or tabs, not by commas; {remedy}")
