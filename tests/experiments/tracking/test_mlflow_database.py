"""MLflow's SQLite file: made whole or not at all, and looked at before a sweep trusts it."""

import os
import re
import resource
import shutil
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from filelock import FileLock

from data.errors import UserError
from experiments import databases
from experiments.tracking import mlflow_database
from experiments.tracking.mlflow_database import check_database, create_database, schema, sqlite_path
from experiments.tracking.mlflow_runs import Record


@pytest.fixture
def database(tmp_path, empty_db, monkeypatch):
    """A database with MLflow's tables, and its default experiment."""
    path = tmp_path / "mlflow.db"
    shutil.copy(empty_db, path)
    monkeypatch.setattr(databases, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(mlflow_database, "SETTLED_SECONDS", 0)
    return path


def change(path, *statements):
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


def half_made(path):
    """As a process leaves it that is killed among MLflow's migrations: an older schema, and not a row."""
    change(path, "DELETE FROM experiments", "UPDATE alembic_version SET version_num = '451aebb31d03'")


def test_the_version_of_the_schema_is_that_of_mlflow():
    from mlflow.store.db.utils import _get_latest_schema_revision

    head, known = schema()
    assert head == _get_latest_schema_revision()
    assert "451aebb31d03" in known


def test_what_mlflow_made_is_taken(database, tmp_path):
    check_database(database)
    check_database(tmp_path / "missing.db")
    (tmp_path / "empty.db").touch()
    check_database(tmp_path / "empty.db")
    assert not list(tmp_path.glob("*broken*"))


@pytest.mark.parametrize("killed", ["among the migrations", "at the first table", "before the first"])
def test_a_half_made_one_is_set_aside_and_said(database, capsys, killed):
    if killed == "among the migrations":
        half_made(database)
    else:
        database.unlink()
        change(
            database,
            "CREATE TABLE experiments (id)"
            if killed == "at the first table"
            else "CREATE TABLE alembic_version (version_num)",
        )
    before = database.read_bytes()
    check_database(database)
    assert not database.exists()
    aside = database.with_name("mlflow.db.broken-1")
    assert aside.read_bytes() == before
    assert f"{database} was half made" in (said := capsys.readouterr().err)
    assert said.count("\n") == 1
    assert "mlflow.db.broken-1" in said
    shutil.copy(aside, database)
    check_database(database)
    assert database.with_name("mlflow.db.broken-2").exists()


OLDER = "UPDATE alembic_version SET version_num = '451aebb31d03'"


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda path: change(path, OLDER), r"has the schema 451aebb31d03 of an older MLflow .*`mlflow db upgrade sqlite:////"),
        (lambda path: change(path, "UPDATE alembic_version SET version_num = 'ffffffffffff'"), "of a newer MLflow"),
        (lambda path: change(path, "DELETE FROM alembic_version"), "schema unknown of an older MLflow"),
        (lambda path: path.write_bytes(b"my notes\n" * 99), "is no SQLite database: move it away"),
        (lambda path: os.truncate(path, 300_000), "is damaged"),
        (lambda path: path.write_bytes(path.read_bytes()[:20_000] + b"\xff" * 80_000), "is damaged"),
        (lambda path: (path.unlink(), path.mkdir()), "is not a file"),
        (lambda path: (path.unlink(), change(path, "CREATE TABLE notes (text)")), "is a database of something else"),
    ],
)  # fmt: skip
def test_one_that_is_of_no_use_is_refused_and_left_as_it_is(database, harm, told):
    harm(database)
    before = database.read_bytes() if database.is_file() else b""
    with pytest.raises(UserError, match=told) as refused:
        check_database(database)
    assert "\n" not in str(refused.value)
    assert not database.is_file() or database.read_bytes() == before
    assert not list(database.parent.glob("*broken*"))


def test_a_locked_one_is_told(database):
    with closing(sqlite3.connect(database, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UserError, match="has been locked by another process for"):
            check_database(database)
    check_database(database)


def test_one_that_another_program_is_making_is_waited_for(database, empty_db, monkeypatch):
    """MLflow's own server makes it in place: what is written to now is not set aside."""
    half_made(database)
    monkeypatch.setattr(mlflow_database, "SETTLED_SECONDS", 1000)

    def finish(seconds):
        shutil.copy(empty_db, database)
        os.utime(database, (0, 0))  # long ago

    monkeypatch.setattr(mlflow_database.time, "sleep", finish)
    check_database(database)
    assert not list(database.parent.glob("*broken*"))


def test_one_is_made_under_another_name(tmp_path, monkeypatch):
    path, seen = tmp_path / "mlflow.db", []
    (tmp_path / "mlflow.db.new").write_bytes(b"what a killed process left")
    (tmp_path / "mlflow.db.new-journal").write_bytes(b"the same")

    def make(new):
        seen.append((new.exists(), path.exists()))
        new.write_bytes(b"tables")

    monkeypatch.setattr(mlflow_database, "_make_tables", make)
    threads = [threading.Thread(target=create_database, args=(path,)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == [(False, False)]
    assert path.read_bytes() == b"tables"
    assert not list(tmp_path.glob("*.new*"))


def test_one_that_another_process_makes_for_ever_is_not_waited_for_as_long(tmp_path, monkeypatch):
    path = tmp_path / "mlflow.db"
    monkeypatch.setattr(mlflow_database, "MAKE_SECONDS", 0.1)
    with FileLock(tmp_path / "mlflow.db.lock"), pytest.raises(UserError, match="is being made by another process"):
        create_database(path)
    assert not path.exists()


def test_a_record_makes_a_database_that_can_be_used(tmp_path):
    path = tmp_path / "mlflow.db"
    record = Record(f"sqlite:///{path}", "mnist-5k", tmp_path / "artifacts")
    assert record.sweep("default", {})
    check_database(path)
    assert {file.name for file in tmp_path.iterdir()} <= {"mlflow.db", "mlflow.db.lock", "artifacts"}


def test_a_full_disk_is_one_line_and_the_next_run_is_fine(tmp_path, empty_db, monkeypatch):
    from sqlalchemy.exc import OperationalError

    def fill(url):
        Path(url.removeprefix("sqlite:///")).write_bytes(b"half")
        raise OperationalError("CREATE TABLE", {}, sqlite3.OperationalError("database or disk is full"))

    path = tmp_path / "mlflow.db"
    with monkeypatch.context() as full:
        full.setattr("mlflow.db.upgrade.callback", fill)
        with pytest.raises(UserError, match=rf"{re.escape(str(path))} cannot be made \(database or disk is full\)"):
            create_database(path)
    assert not list(tmp_path.glob("mlflow.db.new*"))
    assert not path.exists()
    monkeypatch.setattr("mlflow.db.upgrade.callback", lambda url: shutil.copy(empty_db, url.removeprefix("sqlite:///")))
    create_database(path)
    check_database(path)


def test_a_real_limit_on_the_size_of_files_leaves_nothing_half_made(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, hard))
    try:
        with pytest.raises(UserError, match="cannot be made") as told:
            create_database(tmp_path / "mlflow.db")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(told.value)
    assert [file.name for file in tmp_path.iterdir()] == ["mlflow.db.lock"]


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("sqlite:///mlflow.db", "mlflow.db"),
        ("sqlite:////a/b.db", "/a/b.db"),
        ("sqlite+pysqlite:///a.db?timeout=3", "a.db"),
    ],
)
def test_the_file_that_a_uri_names(uri, path):
    assert sqlite_path(uri) == Path(path)


@pytest.mark.parametrize("uri", ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:mlflow.db"])
def test_a_uri_that_names_no_file(uri):
    with pytest.raises(UserError, match="names no file: write sqlite:"):
        sqlite_path(uri)


HARMS = {
    "damaged": (lambda path: os.truncate(path, 300_000), "is damaged"),
    "older": (lambda path: change(path, OLDER), "mlflow db upgrade"),
}


@pytest.mark.parametrize("command", [("run",), ("sync",), ("search", "toy")])
@pytest.mark.parametrize("harm", HARMS)
def test_every_command_tells_it_before_any_training(tracked, main, command, harm):
    from tests.experiments.searching import ask_for

    ask_for(tracked, {"toy": {"learning_rate": {"low": 1e-6, "high": 0.1, "log": True}}})
    act, told = HARMS[harm]
    act(tracked.folder / "mlflow.db")
    code, out, err = main(*command)
    assert code == 2
    assert told in err
    assert err.startswith("error: MLflow's database mlflow.db ")
    assert err.count("\n") == 1
    assert not out
    assert not list(tracked.store.glob("**/config.json"))
