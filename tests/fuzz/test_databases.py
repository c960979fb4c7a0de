"""SIGKILL while a database is made or written, and databases whose bytes are changed: nothing recorded is lost.

A killed process is a fork of this one, which has imported MLflow. It counts what SQLite does, so that the moments are
spread over the whole of the work, within statements too, however busy the machine is.
"""

import os
import random
import re
import shutil
import signal
import sqlite3
from contextlib import closing, contextmanager
from functools import partial

import optuna
import pytest
import sqlalchemy

from data.errors import UserError
from experiments.search.storage import STUDIES, opened
from experiments.tracking import mlflow_database
from experiments.tracking.mlflow_database import check_database, create_database
from experiments.tracking.mlflow_runs import Metric, Record
from experiments.tracking.server import mlflow_errors_explained
from tests.fuzz.hanging import in_time

INSTRUCTIONS = 20  # of SQLite's virtual machine between two counts
SECONDS = 300  # that one attempt may take; more is a hang
PAGE = 4096
ROWS = 40


@contextmanager
def counted(on_count):
    """Calls `on_count` at every so many instructions of SQLite."""

    def watch(connection, record):
        connection.set_progress_handler(on_count, INSTRUCTIONS)

    sqlalchemy.event.listen(sqlalchemy.Engine, "connect", watch)
    try:
        yield
    finally:
        sqlalchemy.event.remove(sqlalchemy.Engine, "connect", watch)


def in_child(work, kill_at=None):
    """Does the work in a fork of this process, which kills itself at a count; returns the count, or None if killed."""
    receiver, sender = os.pipe()
    child = os.fork()
    if not child:
        count, code = 0, 1

        def tick():
            nonlocal count
            count += 1
            if count == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)
            return 0

        try:
            os.close(receiver)
            signal.alarm(SECONDS)
            with counted(tick):
                work()
            os.write(sender, str(count).encode())
            code = 0
        finally:
            os._exit(code)
    os.close(sender)
    with os.fdopen(receiver, "rb") as stream:
        told = stream.read()
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL:
        return None
    assert status == 0, f"the child ended with {status}"
    return int(told)


def record_at(path):
    return Record(f"sqlite:///{path}", "mnist-5k", path.parent / "artifacts")


def log(path, epochs):
    """Logs rows to the one run of the record."""
    record = record_at(path)
    run = record.parents.get("sweep") or record.sweep("sweep", {})
    for epoch in epochs:
        record.client.log_batch(run, [Metric("loss", epoch / 7, 0, epoch)])


def logged(path):
    """The rows of that run, by epoch."""
    record = record_at(path)
    history = record.client.get_metric_history(record.parents["sweep"], "loss")
    return {metric.step: metric.value for metric in history}


@pytest.fixture(scope="module")
def making(tmp_path_factory):
    """The count of making a database, and the database made, with a run."""
    import mlflow.store.db.utils  # noqa: F401  # forks have it too

    path = tmp_path_factory.mktemp("made") / "mlflow.db"
    count = in_child(lambda: create_database(path))
    log(path, range(ROWS))
    return count, path


def whole(path):
    """Whether MLflow's tables are all there and hold no run: MLflow itself says so, and not the code under test."""
    from mlflow.store.db.utils import _get_latest_schema_revision

    with closing(sqlite3.connect(path)) as connection:
        (found,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        (sound,) = connection.execute("PRAGMA integrity_check").fetchone()
        return (found, sound) == (_get_latest_schema_revision(), "ok")


@pytest.mark.slow
def test_a_kill_while_the_database_is_made(making, tally, attempts, tmp_path):
    chance, (total, _) = random.Random(8), making
    counts, kills = tally("SIGKILL while MLflow's database is made"), 0
    for series in range(attempts(1, 16)):
        folder = tmp_path / f"{series}"  # MLflow keeps what it has opened by its name
        folder.mkdir()
        path = folder / "mlflow.db"
        for _ in range(attempts(2, 5)):
            killed = in_child(partial(create_database, path), chance.randrange(1, total)) is None
            counts.count("survived" if killed and not path.exists() else "wrong")
            kills += killed
        check_database(path)
        in_child(partial(create_database, path))  # the next run finds what the kills have left
        log(path, [0])
        assert {file.name for file in folder.iterdir()} <= {"mlflow.db", "mlflow.db.lock", "artifacts"}
        counts.count("survived" if whole(path) and logged(path) == {0: 0.0} else "wrong")
    assert kills
    assert not counts.harm


@pytest.mark.slow
def test_a_kill_while_mlflow_makes_it_in_place(making, tally, attempts, tmp_path, monkeypatch, capsys):
    """As its own server does: what is left is set aside, and nothing that was whole is."""
    import mlflow.db

    monkeypatch.setattr(mlflow_database, "SETTLED_SECONDS", 0)
    chance, (total, _) = random.Random(9), making
    counts, path = tally("SIGKILL while MLflow makes its database in place"), tmp_path / "mlflow.db"
    aside = 0
    for _ in range(attempts(2, 80)):
        in_child(lambda: mlflow.db.upgrade.callback(f"sqlite:///{path}"), chance.randrange(1, int(total * 1.02)))
        left = path.exists() and path.stat().st_size > 0
        complete = left and whole(path)
        with in_time(SECONDS):
            check_database(path)
        said = "was half made" in capsys.readouterr().err
        aside += said
        well = path.exists() and not said if complete else said == left and not (left and path.exists())
        counts.count("survived" if well else "wrong")
        path.unlink(missing_ok=True)
    assert len(list(tmp_path.glob("mlflow.db.broken-*"))) == aside > 0
    assert not counts.harm


def test_a_kill_while_a_record_is_written(making, tally, attempts, tmp_path):
    """What was logged before the kill is there, and what comes after is added."""
    counts, chance = tally("SIGKILL while MLflow's record is written"), random.Random(10)
    path = tmp_path / "mlflow.db"
    shutil.copy(making[1], path)
    total = in_child(lambda: log(path, range(ROWS, ROWS + 5)))
    for number in range(attempts(4, 100)):
        known, first = logged(path), ROWS + 10 + 10 * number
        in_child(partial(log, path, range(first, first + 5)), chance.randrange(1, total))
        with in_time(SECONDS):
            check_database(path)
        found = logged(path)
        new = found.keys() - known.keys()
        kept = found.items() >= known.items() and new == set(range(first, first + len(new)))
        counts.count("survived" if kept else "lost")
    assert not counts.harm


def begin_studies(folder):
    with opened(None, folder, []) as storage:
        study = optuna.create_study(storage=storage, study_name="a", load_if_exists=True)
        for value in range(5):
            study.tell(study.ask({"x": optuna.distributions.FloatDistribution(0, 1)}), value)


def settings_in(folder):
    with opened(None, folder, []) as storage:
        study = optuna.create_study(storage=storage, study_name="a", load_if_exists=True)
        return [(trial.number, trial.params, trial.values) for trial in study.get_trials() if trial.state.is_finished()]


def test_a_kill_while_the_database_of_a_search_is_made(tally, attempts, tmp_path):
    counts, chance = tally("SIGKILL while a search's database is made and written"), random.Random(11)
    total = in_child(lambda: begin_studies(tmp_path / "whole"))
    for number in range(attempts(3, 100)):
        folder = tmp_path / f"{number}"
        for _ in range(2):  # the second kill finds what the first has left
            in_child(partial(begin_studies, folder), chance.randrange(1, total))
        before = values_of(folder / STUDIES)
        with in_time(SECONDS):
            found = settings_in(folder)
        counts.count("survived" if [values for *_, values in found] == before else "lost")
        shutil.rmtree(folder)
    assert not counts.harm


def values_of(path):
    """The scores in a search's file, read past Optuna."""
    with closing(sqlite3.connect(path)) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'trial_values'").fetchone():
            return []
        ended = "trial_id IN (SELECT trial_id FROM trials WHERE state = 'COMPLETE')"
        query = f"SELECT value FROM trial_values WHERE {ended} ORDER BY trial_id"
        return [[value] for (value,) in connection.execute(query)]


def harmed(content, chance):
    """The content with one harm that a disk, a copy that was cut short or an editor may do."""
    size, harm = len(content), chance.randrange(5)
    page = PAGE * chance.randrange(size // PAGE)
    if harm == 0:
        return content[: chance.randrange(1, size)]
    if harm == 1:
        return content[:page] + bytes(PAGE) + content[page + PAGE :]
    if harm == 2:
        return content[:page] + chance.randbytes(PAGE) + content[page + PAGE :]
    if harm == 3:  # of the header
        place = chance.randrange(100)
        return content[:place] + chance.randbytes(1) + content[place + 1 :]
    return chance.choice((b"", b"\n", b"SQLite format 3\0", b"SQLite format 3\0" + bytes(size - 16))) + content[16:page]


def outcome_of(attempt, expected):
    """What comes of an attempt to read what was recorded."""
    try:
        with in_time(SECONDS):
            found = attempt()
    except UserError as error:
        return "refused in one line" if "\n" not in str(error) and re.search(r"\.db", str(error)) else "wrong"
    return "survived" if found == expected else "wrong"


@pytest.mark.filterwarnings("ignore")
def test_a_harmed_database_is_refused_in_one_line(making, tally, attempts, tmp_path, monkeypatch):
    monkeypatch.setattr(mlflow_database, "SETTLED_SECONDS", 0)
    counts, chance = tally("MLflow's database harmed"), random.Random(12)
    content, expected = making[1].read_bytes(), logged(making[1])

    def read(path):
        check_database(path)
        with mlflow_errors_explained(f"sqlite:///{path}"):
            return logged(path)

    for number in range(attempts(60, 1500)):
        path = tmp_path / f"{number}" / "mlflow.db"
        path.parent.mkdir()
        path.write_bytes(harmed(content, chance))
        if path.stat().st_size:
            counts.count(outcome := outcome_of(partial(read, path), expected))
            assert outcome != "wrong", f"attempt {number}"
        shutil.rmtree(path.parent)


@pytest.mark.filterwarnings("ignore")
def test_a_harmed_database_of_a_search_is_refused_in_one_line(tally, attempts, tmp_path):
    counts, chance = tally("a search's database harmed"), random.Random(13)
    begin_studies(tmp_path / "whole")
    content, expected = (tmp_path / "whole" / STUDIES).read_bytes(), settings_in(tmp_path / "whole")
    for number in range(attempts(60, 1500)):
        path = tmp_path / f"{number}" / STUDIES
        path.parent.mkdir()
        path.write_bytes(harmed(content, chance))
        if path.stat().st_size:
            counts.count(outcome := outcome_of(partial(settings_in, path.parent), expected))
            assert outcome != "wrong", f"attempt {number}"
        shutil.rmtree(path.parent)
