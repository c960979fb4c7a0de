"""Reads CSV files into checked, typed tables; every mistake is one message with file, line, column and remedy."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import pandas as pd

from reports.errors import UserError


def read_columns(path: Path, columns: Mapping[str, str], never_empty: Collection[str], remedy: str) -> pd.DataFrame:
    """Reads the table at `path` with typed columns; columns that are not in `columns` are kept as text.

    Args:
        columns: the kind of each column. "text" is never missing, "" instead; "whole" becomes Int64; "number" becomes
            float64.
        never_empty: columns in which every row must have a value.
        remedy: what the user can do, the end of every message.

    Raises:
        UserError: the file cannot be read or lacks a column, or a value is empty or not of its kind.
    """
    raw = _read_text(path, remedy)
    table = raw.apply(lambda column: column.str.strip()) if len(raw) else raw
    return typed(path, table, columns, never_empty, remedy)


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
        if kind != "text":
            table[column] = numbers(path, table, column, kind, remedy)
    return table


def refuse(path: Path, table: pd.DataFrame, column: str, bad: pd.Series, what: str, remedy: str) -> None:
    """Raises a UserError for the first row where `bad` holds; line 1 of the file is its header."""
    bad = bad.fillna(False)
    if bad.any():
        row = int(bad.to_numpy(bool).argmax())
        value = table[column].iloc[row]
        shown = repr(value) if isinstance(value, str) else str(value)
        raise UserError(f"{path}, line {row + 2}: {column} {shown} {what}; {remedy}")


def numbers(path: Path, table: pd.DataFrame, column: str, kind: str, remedy: str) -> pd.Series:
    """Converts a column of text to float64 ("number") or Int64 ("whole"); empty text is missing.

    Raises:
        UserError: for any other text.
    """
    text = table[column]
    values = pd.to_numeric(text.where(text != ""), errors="coerce").astype("float64")
    refuse(path, table, column, values.isna() & (text != ""), "is not a number", remedy)
    if kind == "number":
        return values
    refuse(path, table, column, values.notna() & (values % 1 != 0), "is not a whole number", remedy)
    return values.astype("Int64")


def _read_text(path: Path, remedy: str) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False, encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path} does not exist; {remedy}") from None
    except pd.errors.EmptyDataError:
        raise UserError(f"{path} is empty; {remedy}") from None
    except (pd.errors.ParserError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path} cannot be read as CSV ({error}); {remedy}") from None
