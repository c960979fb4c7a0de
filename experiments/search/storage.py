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
from experiments.secrets import masked

STUDIES = "studies.db"  # the SQLite file, in the folder of the searches
CONNECT_SECONDS = 10  # that a server may take to accept a connection
DRIVER = "psycopg"  # Python's PostgreSQL driver, where the URL names none


def sqlite(folder: Path) -> RDBStorage:
    """Returns the storage in a folder's SQLite file; both are created where they are missing."""
    folder.mkdir(parents=True, exist_ok=True)
    return RDBStorage(f"sqlite:///{(folder / STUDIES).absolute()}")


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
    except (SQLAlchemyError, StorageInternalError, RuntimeError, ValueError) as error:
        remedy = f"{_reason(error)}: see that the server runs and lets you in, or set it to null (a file)"
    raise UserError(f"search.storage = {masked(text)!r}: {remedy}")


def _reason(error: Exception) -> str:
    """Returns the message of the server or of SQLAlchemy in one line, without passwords."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return masked(" ".join(str(getattr(cause, "orig", None) or cause or error).split()))


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
    if url is None:
        yield sqlite(folder)
        return
    storage = postgres(url)
    try:
        with storage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.detach()  # back in the pool it would keep its locks
            for name in studies:
                key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
                if not connection.scalar(sqlalchemy.select(sqlalchemy.func.pg_try_advisory_lock(key))):
                    raise UserError(
                        f"another process is at work on the study {name} in {masked(url)}: wait for it, or go on with "
                        "another search.storage"
                    )
            yield storage
    except Exception as error:
        lost = _storage_error(error)
        if lost is None:
            raise
        raise UserError(
            f"search.storage = {masked(url)!r} was lost: {_reason(lost)}; what was tried is safe, the same command "
            "goes on from there"
        ) from error
    finally:
        storage.engine.dispose()
