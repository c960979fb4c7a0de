"""A real PostgreSQL server on a free port of the loopback address."""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

PASSWORD = "s3cret:of@all/"  # with what a URL has to escape
QUOTED = "s3cret%3Aof%40all%2F"


def binaries():
    """The folder of the server's programs, the newest where there are several; None where there is none."""
    found = shutil.which("postgres")
    if found is not None:
        return Path(found).parent
    versions = [path for path in Path("/usr/lib/postgresql").glob("*/bin") if (path / "postgres").exists()]
    return max(versions, key=lambda path: float(path.parent.name), default=None)


class Server:
    """One that runs; its user `searcher` has the password."""

    def __init__(self, port):
        self.port = port
        self.environment = {**os.environ, "PGPASSWORD": PASSWORD}

    def run(self, sql):
        import psycopg

        place = f"host=127.0.0.1 port={self.port} user=searcher dbname=postgres"
        with psycopg.connect(place, password=PASSWORD, autocommit=True, connect_timeout=5) as connection:
            connection.execute(sql)

    def database(self, name):
        """The URL of a new database, without the password."""
        self.run(f'CREATE DATABASE "{name}"')
        return f"postgresql+psycopg://searcher@127.0.0.1:{self.port}/{name}"


@contextmanager
def server():
    """A server with its data in a folder of its own, which goes with it; it refuses to be run by root."""
    user = {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}
    with tempfile.TemporaryDirectory(prefix="postgres-") as name, socket.socket() as free:
        folder, data = Path(name), Path(name) / "data"
        (folder / "password").write_text(PASSWORD)
        if user:
            shutil.chown(folder, "nobody", "nogroup")
        initdb = [binaries() / "initdb", "-D", data, "-U", "searcher", "--pwfile", folder / "password", "--no-sync"]
        subprocess.run(
            [*initdb, "--auth=scram-sha-256", "--locale=C", "--encoding=UTF8"],
            cwd=folder, check=True, capture_output=True, **user,
        )  # fmt: skip
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        free.close()
        settings = ["listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off"]
        with (folder / "log").open("w") as log:
            process = subprocess.Popen(
                [binaries() / "postgres", "-D", data, "-p", str(port), *(f"-c{setting}" for setting in settings)],
                cwd=folder, stdout=log, stderr=log, start_new_session=True, **user,
            )  # fmt: skip
        made, deadline = Server(port), time.monotonic() + 60
        try:
            while True:
                try:
                    made.run("SELECT 1")
                    break
                except Exception:
                    assert process.poll() is None, (folder / "log").read_text()
                    assert time.monotonic() < deadline, (folder / "log").read_text()
                    time.sleep(0.1)
            yield made
        finally:
            process.send_signal(2)  # ends at once, whoever is connected
            process.wait(timeout=60)
