"""MLflow's SQLite file: made under another name and renamed, and looked at before a sweep trusts it."""

from __future__ import annotations

import os
import re
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from filelock import FileLock, Timeout

from data.errors import UserError
from experiments import databases

MAKE_SECONDS = 120.0  # that another process may take to make the file
SETTLED_SECONDS = 5.0  # without a change after which nobody is at work on a half-made file
# Tables that are not empty once MLflow has made them, before anything is recorded.
BOOKKEEPING = {"alembic_version", "workspaces"}
WHAT = "MLflow's database"
RESTORE = "move it away, and `python -m experiments sync` records all trials in a new one"
_REVISION = re.compile(r"""^(revision|down_revision)\b[^=\n]*= *["'](\w+)["']""", re.MULTILINE)


def sqlite_path(uri: str) -> Path:
    """Returns the file that a `sqlite:///` URI names. UserError where it names none, as for a database in memory."""
    place = uri.partition("://")[2].partition("?")[0]
    name = place.removeprefix("/")
    if not place.startswith("/") or name in ("", ":memory:"):
        raise UserError(f"tracking.uri = {uri!r}: names no file: write sqlite:///mlflow.db, or another path")
    return Path(name)


@cache
def schema() -> tuple[str, frozenset[str]]:
    """Returns the version of the schema that the installed MLflow wants, and all versions that it knows.

    They stand in MLflow's migrations, which are read here because importing MLflow takes seconds.
    """
    spec = find_spec("mlflow")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    versions, parents = set(), set()
    for path in (path for folder in folders for path in Path(folder).glob("store/db_migrations/versions/*.py")):
        found = dict(_REVISION.findall(path.read_text(encoding="utf-8")))
        versions.add(found.get("revision", ""))
        parents.add(found.get("down_revision", ""))
    (head,) = versions - parents
    return head, frozenset(versions)


def check_database(path: Path) -> None:
    """Looks whether MLflow can record in the file, in milliseconds. A half-made one is set aside, which is printed.

    UserError where it is damaged, locked, not writable, of another version of MLflow, or something else's.
    """
    folder = path.absolute().parent
    if not folder.is_dir():
        raise UserError(f"{WHAT} {path}: there is no folder {folder}")
    if not os.access(folder, os.W_OK):
        raise UserError(f"{WHAT} is in {folder}, which cannot be written: make it writable, or name another place")
    if databases.is_empty(path) or not _is_half_made(path):
        return
    with _alone(path):
        _wait_until_settled(path)
        if not databases.is_empty(path) and _is_half_made(path):
            aside = _set_aside(path)
            print(
                f"{WHAT} {path} was half made, by a process that was ended: it holds nothing, and is now {aside.name}",
                file=sys.stderr,
            )


def create_database(path: Path) -> None:
    """Makes the file with MLflow's tables, unless it is there. Killed half-way, it leaves no file of that name.

    Of several processes one makes it, and the others wait. UserError where it cannot be written.
    """
    path = Path(path.absolute().resolve())
    if not databases.is_empty(path):
        return
    with _alone(path):
        if not databases.is_empty(path):
            return
        with databases.made_whole(path) as new:
            _make_tables(new)


def _make_tables(path: Path) -> None:
    from mlflow.db import upgrade
    from sqlalchemy.exc import SQLAlchemyError

    make = upgrade.callback
    assert make is not None
    try:
        make(f"sqlite:///{path}")  # as `mlflow db upgrade` does
    except (SQLAlchemyError, OSError) as error:
        raise UserError(
            f"{WHAT} {path.parent / path.stem} cannot be made ({databases.reason(error)}): see that its disk is well "
            "and has room"
        ) from error


def _set_aside(path: Path) -> Path:
    number = 1
    while (aside := path.with_name(f"{path.name}.broken-{number}")).exists():
        number += 1
    return path.rename(aside)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Lets one process at a time make the file or set it aside. UserError where another one takes too long."""
    lock = FileLock(path.with_name(f"{path.name}.lock"))
    try:
        lock.acquire(timeout=MAKE_SECONDS)
    except Timeout:
        raise UserError(
            f"{WHAT} {path} is being made by another process, for more than {MAKE_SECONDS:g} s: end it, or wait for it"
        ) from None
    except NotImplementedError:
        raise UserError(f"{WHAT} {path}: its disk has no locks: name a place on another one") from None
    try:
        yield
    finally:
        lock.release()


def _wait_until_settled(path: Path) -> None:
    """Waits while another program, such as MLflow's own server, makes the file."""
    while not databases.is_empty(path) and 0 <= time.time() - path.stat().st_mtime < SETTLED_SECONDS:
        time.sleep(0.2)


def _is_half_made(path: Path) -> bool:
    """Returns whether MLflow was ended while it made the file. UserError where the file is otherwise of no use."""
    head, known = schema()
    with databases.sound_sqlite(path, WHAT, RESTORE) as connection:
        tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        found = _version(connection) if "alembic_version" in tables else ""
        if found == head:
            return False
        own = [name for name in tables - BOOKKEEPING if not name.startswith("sqlite_")]
        if own and not {"experiments", "_alembic_tmp_experiments"} & tables:
            raise UserError(f"{WHAT} {path} is a database of something else: name another with tracking.uri")
        if not any(connection.execute(f'SELECT 1 FROM "{name}" LIMIT 1').fetchone() for name in own):
            return True
    here = f"this is MLflow {version('mlflow')}"
    if found and found not in known:
        raise UserError(
            f"{WHAT} {path} has the schema {found} of a newer MLflow ({here}): install that one, or name another "
            "database"
        )
    raise UserError(
        f"{WHAT} {path} has the schema {found or 'unknown'} of an older MLflow ({here}): copy it, and then run "
        f"`mlflow db upgrade sqlite:///{path.absolute()}`"
    )


def _version(connection: sqlite3.Connection) -> str:
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    return row[0] if row else ""
