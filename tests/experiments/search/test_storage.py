"""Studies on a real PostgreSQL server, and servers that cannot be had."""

import os
import sqlite3
import uuid
from contextlib import closing

import numpy as np
import pytest
from optuna.exceptions import StorageInternalError
from sqlalchemy import make_url

from data.errors import UserError
from experiments import databases
from experiments.search.optuna_study import Study
from experiments.search.protocol import Protocol
from experiments.search.storage import STUDIES, opened, sqlite
from experiments.settings.config import load
from experiments.trial_store.layout import Layout
from tests.experiments.postgres import PASSWORD, QUOTED
from tests.experiments.searching import ask_for

SPACE = {"toy": {"learning_rate": {"low": 1e-6, "high": 0.1, "log": True}, "epochs": {"low": 1, "high": 9}}}


@pytest.fixture
def database(postgres, monkeypatch):
    """The URL of a new database; its password is in the environment."""
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    return postgres.database(f"studies-{uuid.uuid4()}")


def draw(protocol, storage, count):
    """The next settings of a study, each with a score that depends on it alone."""
    study, drawn = Study(protocol, storage), []
    for _ in range(count):
        setting = study.ask()
        score = 50 + np.log10(setting.params["learning_rate"])
        study.report(setting.number, [score] * protocol.cells, 1.0)
        drawn.append(study.end(setting.number))
    return drawn


def test_a_study_on_a_server_draws_what_one_in_a_file_does(world, database, tmp_path):
    ask_for(world, SPACE, trials=10)
    protocol = Protocol(load(world.folder / "params.yaml"), Layout(), "toy")
    there = []
    for count in (5, 5):  # stopped after five, and gone on with
        with opened(database, tmp_path, [protocol.name]) as storage:
            there += draw(protocol, storage, count)
    assert there == draw(protocol, sqlite(tmp_path), 10)
    with opened(database, tmp_path, [protocol.name]) as storage:
        assert Study(protocol, storage).settings() == there


def test_a_study_on_a_server_is_held_by_one_process(database, tmp_path):
    with opened(database, tmp_path, ["one", "two"]):
        told = r"another process is at work on the study two in postgresql\+psycopg://"
        with pytest.raises(UserError, match=told), opened(database, tmp_path, ["three", "two"]):
            pytest.fail("held by two")
        with opened(database, tmp_path, ["three"]):
            pass
    with opened(database, tmp_path, ["two", "one"]):
        pass


def test_a_server_that_is_lost_is_told_with_the_remedy(world, postgres, database, tmp_path):
    ask_for(world, SPACE, trials=12)
    protocol = Protocol(load(world.folder / "params.yaml"), Layout(), "toy")

    def lose():
        with opened(database, tmp_path, [protocol.name]) as storage:
            study = Study(protocol, storage)
            study.ask()
            postgres.run(f'DROP DATABASE "{make_url(database).database}" WITH (FORCE)')
            try:
                study.ask()
            except StorageInternalError as error:
                raise RuntimeError("as Tune does") from error

    with pytest.raises(UserError, match=r"was lost: .*the same command goes on from there"):
        lose()


def told_of(world, main, url):
    ask_for(world, SPACE, storage=url)
    code, out, err = main("search", "toy")
    assert code == 2, err
    assert err.startswith("error: ")
    assert "search.storage = 'postgresql" in err
    for secret in ("s3cret", PASSWORD, QUOTED, "Traceback"):
        assert secret not in out + err
    assert not list(world.store.glob("search/*/config.json"))
    return err


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"username": "searcher", "password": "s3cret"}, "password authentication failed"),
        ({"username": "searcher", "password": PASSWORD, "database": "missing"}, 'database "missing" does not exist'),
        ({"username": "searcher", "password": PASSWORD, "query": {"sslmode": "require"}}, "SSL"),
    ],
)
def test_a_server_that_lets_nobody_in_is_told_without_the_password(world, main, database, monkeypatch, given, told):
    monkeypatch.delenv("PGPASSWORD")
    query = given.pop("query", {})
    url = make_url(database).set(**given).update_query_dict(query)
    err = told_of(world, main, url.render_as_string(hide_password=False))
    assert told in err
    assert "searcher:***@127.0.0.1" in err


@pytest.mark.parametrize(
    ("url", "told"),
    [
        (f"postgresql://user:{QUOTED}@127.0.0.1:9/studies", "onnection refused"),
        (f"postgresql+psycopg://user@127.0.0.1:9/studies?password={QUOTED}", "onnection refused"),
        ("postgresql+pg8000://user:s3cret@127.0.0.1/studies", 'pip install "psycopg[binary]"'),
        ("postgresql+psycopg://user:s3cret@127.0.0.1:port/studies", "invalid literal"),
        ("postgresql+nothing://user:s3cret@127.0.0.1/studies", "Can't load plugin"),
    ],
)
def test_a_url_that_leads_nowhere_is_told_without_the_password(world, main, url, told):
    assert told in told_of(world, main, url)


def test_another_database_than_postgresql_is_refused_with_the_settings(world, main):
    ask_for(world, SPACE, storage="mysql://me:s3cret@h/d")
    code, _, err = main("check")
    assert code == 2
    assert "search.storage = 'mysql://me:***@h/d': must be null (a file in the store) or a PostgreSQL URL" in err


def change(path, *statements):
    with closing(sqlite3.connect(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        connection.commit()


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda path: os.truncate(path, 40_000), "is damaged"),
        (lambda path: path.write_text("my notes"), "is no SQLite database: bring a copy of it back"),
        (lambda path: change(path, "UPDATE alembic_version SET version_num = 'v9.9.9.a'"), "cannot be opened"),
        (lambda path: change(path, "DROP TABLE studies", "CREATE TABLE studies (a)"), "was lost: table studies"),
    ],
)
def test_a_file_that_is_of_no_use_is_told_before_any_training(world, main, harm, told):
    ask_for(world, SPACE)
    path = world.store / "search" / STUDIES
    sqlite(path.parent).engine.dispose()
    harm(path)
    before = path.read_bytes()
    code, _, err = main("search", "toy")
    assert code == 2
    assert f"error: the search's database {path.relative_to(world.folder)}" in err.replace(f"{world.folder}/", "")
    assert told in err
    assert err.count("\n") == 1
    assert path.read_bytes() == before
    assert not list(world.store.glob("search/*/config.json"))


def test_a_file_that_is_locked_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(databases, "LOCK_SECONDS", 0.1)
    sqlite(tmp_path).engine.dispose()
    with closing(sqlite3.connect(tmp_path / STUDIES, isolation_level=None)) as holder:
        holder.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UserError, match="has been locked by another process"):
            sqlite(tmp_path)


def test_a_password_in_the_address_of_a_cluster_is_not_printed(world, main):
    ask_for(world, SPACE)
    for address in ("http://me:s3cret@head:8265", "ray://me:s3cret@127.0.0.1:9", "me:s3cret@127.0.0.1:9"):
        code, out, err = main("search", "toy", "--address", address)
        assert code == 2
        assert "s3cret" not in out + err
        assert "127.0.0.1:9" in err or "http://me:***@head:8265: a search is not sent as a job" in err


def test_a_file_is_made_whole_or_not_at_all(tmp_path, monkeypatch):
    """Half made, it may lack the index that keeps two studies of one name apart."""

    def stop(url):
        path = make_url(url).database
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE studies (study_name TEXT)")
        raise StorageInternalError("killed")

    monkeypatch.setattr("experiments.search.storage.RDBStorage", stop)
    with pytest.raises(UserError, match=r"studies\.db cannot be opened \(killed\)"):
        sqlite(tmp_path)
    assert not list(tmp_path.iterdir())
