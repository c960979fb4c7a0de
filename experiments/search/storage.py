"""The storage of searches: a SQLite file in the trial store, or a database on a PostgreSQL server."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy
from optuna.exceptions import StorageInternalError
from optuna.storages import RDBStorage
from sqlalchemy.exc import SQLAlchemyError

from data.errors import UserError
from data.secrets import masked
from experiments.databases import CONNECT_SECONDS, is_empty, made_whole, reason, sound_sqlite

STUDIES = "studies.db"  # the SQLite file, in the folder of the searches
WHAT = "the search's database"
RESTORE = "bring a copy of it back, or move it away and search anew"
_ERRORS = (SQLAlchemyError, StorageInternalError, RuntimeError, ValueError)  # of Optuna, as it opens a storage
DRIVER = "psycopg"  # Python's PostgreSQL driver, where the URL names none


def sqlite(folder: Path) -> RDBStorage:
    """Returns the storage in a folder's SQLite file; both are created where they are missing.

    UserError where the file is damaged, locked, not writable, or of another version of Optuna.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = (folder / STUDIES).absolute()
    if not is_empty(path):
        with sound_sqlite(path, WHAT, RESTORE):
            pass
    try:
        if is_empty(path):
            with made_whole(path) as new:
                RDBStorage(f"sqlite:///{new}").engine.dispose()
        return RDBStorage(f"sqlite:///{path}")
    except _ERRORS as error:
        raise UserError(f"{WHAT} {path} cannot be opened ({_reason(error)})") from error


def postgres(text: str) -> RDBStorage:
    """Returns the storage in the database at a URL; Optuna creates its tables there.

    Where the URL has no password, libpq takes it from PGPASSWORD or ~/.pgpass. UserError where there is no such
    database, where it refuses the connection, or where its driver is not installed.
    """
    try:
        url = sqlalchemy.make_url(text)
        if url.drivername == "postgresql":
            url = url.set(drivername=f"postgresql+{DRIVER}")
        arguments = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_SECONDS}
        return RDBStorage(
            url.render_as_string(hide_password=False),
            # A connection that broke while all workers were training is opened again.
            engine_kwargs={"connect_args": arguments, "pool_pre_ping": True},
        )
    except ImportError:
        remedy = f'its driver is not installed: `pip install "psycopg[binary]"`, and write postgresql+{DRIVER}://…'
    except _ERRORS as error:
        remedy = f"{_reason(error, text)}: see that the server runs and lets you in, or set it to null (a file)"
    raise UserError(f"search.storage = {masked(text)!r}: {remedy}")


def _reason(error: Exception, *urls: str) -> str:
    """Returns the message of the server or of SQLAlchemy in one line, without secrets."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return reason(cause or error, *urls)


def _storage_error(error: BaseException | None) -> Exception | None:
    """Returns the storage's error that another error came from: Tune wraps those of a search in its own."""
    while error is not None and not isinstance(error, SQLAlchemyError | StorageInternalError):
        error = error.__cause__ or error.__context__
    return error


@contextmanager
def opened(url: str | None, folder: Path, studies: Sequence[str]) -> Iterator[RDBStorage]:
    """Yields the storage at `url`, or in the folder's file for None, with the studies held by this process alone.

    The file needs no lock, since a search holds the trial store that the file is in. Several stores may name one
    server, so there the lock is the server's, which releases it when this process dies. UserError where another
    process holds a study, or where the storage cannot be reached, at the start or later.
    """
    storage = sqlite(folder) if url is None else postgres(url)
    place = f"{WHAT} {folder / STUDIES}" if url is None else f"search.storage = {masked(url)!r}"
    try:
        with _held(storage, url, studies):
            yield storage
    except Exception as error:
        lost = _storage_error(error)
        if lost is None:
            raise
        raise UserError(
            f"{place} was lost: {_reason(lost, url or '')}; what was tried is safe, the same command goes on from there"
        ) from error
    finally:
        storage.engine.dispose()


@contextmanager
def _held(storage: RDBStorage, url: str | None, studies: Sequence[str]) -> Iterator[None]:
    """Holds the studies on a server while the block lasts. UserError where another process holds one."""
    if url is None:
        yield
        return
    with storage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.detach()  # back in the pool it would keep its locks
        for name in studies:
            key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
            if not connection.scalar(sqlalchemy.select(sqlalchemy.func.pg_try_advisory_lock(key))):
                raise UserError(
                    f"another process is at work on the study {name} in {masked(url)}: wait for it, or go on with "
                    "another search.storage"
                )
        yield
