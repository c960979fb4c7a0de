"""Where the studies of searches are kept: a SQLite file in the store, or a database on a PostgreSQL server."""

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
CONNECT_SECONDS = 10  # that a server may take to let one in
DRIVER = "psycopg"  # where the URL names none


def sqlite(folder: Path) -> RDBStorage:
    """The studies in the file of that folder, which is made where it is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    return RDBStorage(f"sqlite:///{(folder / STUDIES).absolute()}")


def postgres(text: str) -> RDBStorage:
    """The studies in the database at that URL; Optuna makes its tables there.

    A password that the URL lacks is libpq's matter: PGPASSWORD or ~/.pgpass. UserError where there is no such
    database, it lets nobody in, or its driver is not installed.
    """
    try:
        url = sqlalchemy.make_url(text)
        if url.drivername == "postgresql":
            url = url.set(drivername=f"postgresql+{DRIVER}")
        arguments = {} if "connect_timeout" in url.query else {"connect_timeout": CONNECT_SECONDS}
        return RDBStorage(
            url.render_as_string(hide_password=False),
            # A connection that broke while all workers trained is made again.
            engine_kwargs={"connect_args": arguments, "pool_pre_ping": True},
        )
    except ImportError:
        remedy = f'its driver is not installed: `pip install "psycopg[binary]"`, and write postgresql+{DRIVER}://…'
    except (SQLAlchemyError, StorageInternalError, RuntimeError, ValueError) as error:
        remedy = f"{_reason(error)}: see that the server runs and lets you in, or set it to null (a file)"
    raise UserError(f"search.storage = {masked(text)!r}: {remedy}")


def _reason(error: Exception) -> str:
    """What the server or SQLAlchemy says, in one line."""
    cause = error.__cause__ if isinstance(error, StorageInternalError) else error
    return masked(" ".join(str(getattr(cause, "orig", None) or cause or error).split()))


def _of_storage(error: BaseException | None) -> Exception | None:
    """The storage's error that another one came from: Tune puts its own before those of a search."""
    while error is not None and not isinstance(error, SQLAlchemyError | StorageInternalError):
        error = error.__cause__ or error.__context__
    return error


@contextmanager
def opened(url: str | None, folder: Path, studies: Sequence[str]) -> Iterator[RDBStorage]:
    """The storage at `url`, or the file in the folder for None, with those studies held by this process alone.

    The file needs no lock: whoever searches holds the store that it lies in. On a server that many stores may name, the
    lock is the server's, which lets go of it when this process dies. UserError where another process has one, or the
    storage cannot be had, now or later.
    """
    if url is None:
        yield sqlite(folder)
        return
    storage = postgres(url)
    try:
        with storage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.detach()  # not back to the pool, where it would keep its locks
            for name in studies:
                key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
                if not connection.scalar(sqlalchemy.select(sqlalchemy.func.pg_try_advisory_lock(key))):
                    raise UserError(
                        f"another process is at work on the study {name} in {masked(url)}: wait for it, or go on with "
                        "another search.storage"
                    )
            yield storage
    except Exception as error:
        lost = _of_storage(error)
        if lost is None:
            raise
        raise UserError(
            f"search.storage = {masked(url)!r} was lost: {_reason(lost)}; what was tried is safe, the same command "
            "goes on from there"
        ) from error
    finally:
        storage.engine.dispose()
