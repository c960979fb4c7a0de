"""Where MLflow is looked for, and a server that refuses."""

import re
import sys
import threading
import uuid
from base64 import b64encode
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import sqlalchemy

from data.errors import UserError
from experiments.settings.config import load
from experiments.tracking.mlflow_thread import Tracker
from experiments.tracking.server import check_tracking, tracking_uri
from experiments.trial_store.folders import TrialStore
from tests.experiments.postgres import PASSWORD


def test_where_mlflow_is(world, monkeypatch):
    config = load(Path("params.yaml"))
    assert tracking_uri(config) == "sqlite:///mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert tracking_uri(config) == "http://server:5000"
    world.params(tracking={"uri": "sqlite:///mine.db"})
    assert tracking_uri(load(Path("params.yaml"))) == "sqlite:///mine.db"
    check_tracking("sqlite:///mine.db")


@contextmanager
def answering(answer):
    """A server on this machine; `answer` returns status and text for the path and the headers of a request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            status, text = answer(self.path, self.headers)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(text.encode())

        do_POST = do_GET

        def log_message(self, *arguments):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield f"localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_server_that_does_not_answer_to_its_name():
    """As MLflow's own protection from rebound names refuses it: all but /health."""
    from mlflow.server.security_utils import HEALTH_ENDPOINTS, INVALID_HOST_MSG

    def refuse(path, headers):
        return (200, "OK") if path in HEALTH_ENDPOINTS else (403, INVALID_HOST_MSG)

    with (
        answering(refuse) as name,
        pytest.raises(UserError, match=f"to the name {name}: start it with --allowed-hosts {name}"),
    ):
        check_tracking(f"http://{name}")


def guarded(path, headers):
    """Lets in whoever shows the name and the password, as MLflow's server does with --app-name basic-auth."""
    well = headers.get("Authorization") == "Basic " + b64encode(b"me:s3cret@/").decode()
    return (200, "{}") if path == "/health" or well else (401, "You are not authenticated")


@pytest.mark.parametrize("user", ["me:s3cret%40%2F@", "me:wr0ng@", ""])
def test_a_server_that_asks_for_a_password(user, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with answering(guarded) as name:
        if "s3cret" in user:
            check_tracking(f"http://{user}{name}")
        else:
            with pytest.raises(UserError, match="set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD") as refused:
                check_tracking(f"http://{user}{name}")
            assert "wr0ng" not in str(refused.value)
            monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "me")
            monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret@/")
            if not user:
                check_tracking(f"http://{name}")


def test_a_server_that_is_not_mlflow():
    def shop(path, headers):
        return (200, "welcome") if path == "/health" else (404, "no such page")

    with answering(shop) as name, pytest.raises(UserError, match=r"but not as an MLflow server does \(404 Not Found\)"):
        check_tracking(f"http://{name}")


@pytest.mark.parametrize(
    ("uri", "told"),
    [
        ("./mlruns", r"cannot record at '\./mlruns': name a server .*migrate-filestore"),
        ("/srv/mlruns", "cannot record at '/srv/mlruns'"),
        ("file:///srv/mlruns", "cannot record at 'file:///srv/mlruns'"),
        ("foo://me:s3cret@host/x", r"cannot record at 'foo://me:\*\*\*@host/x'"),
        ("s3://bucket/x?token=s3cret", r"cannot record at 's3://bucket/x\?token=\*\*\*'"),
        ("sqlite://", "names no file"),
        ("http://me:s3cret@127.0.0.1:9", r"http://me:\*\*\*@127.0.0.1:9 does not answer .*onnection refused"),
        ("http://me:s3cret@host:port", "does not answer"),
        ("http://me:s3cret/@127.0.0.1:9", "does not answer"),
        ("http://[::1/x?token=s3cret", "does not answer"),
        ("http://", "does not answer"),
        ("postgresql://me:s3cret@127.0.0.1:9/runs", r"postgresql://me:\*\*\*@.* does not answer .*onnection refused"),
        ("postgresql://me@127.0.0.1:9/runs?password=s3cret", r"password=\*\*\* does not answer"),
        ("postgresql+pg8000://me:s3cret@127.0.0.1/runs", "needs a driver that is not installed"),
        ("mysql+nothing://me:s3cret@127.0.0.1/runs", "does not answer"),
        ("postgresql://me:s3cret@host:port/runs", "does not answer"),
    ],
)  # fmt: skip
def test_a_place_where_mlflow_cannot_record_is_told_before_any_training(world, main, uri, told):
    world.params(tracking={"uri": uri})
    code, out, err = main("run")
    assert code == 2
    assert re.search(told, err)
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert "s3cret" not in out + err
    assert not list(world.store.glob("*/config.json"))


def test_a_database_on_a_server_of_an_older_mlflow_is_told(postgres, monkeypatch):
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    url = postgres.database(f"runs-{uuid.uuid4()}")
    check_tracking(url)  # empty: MLflow makes its tables there
    engine = sqlalchemy.create_engine(url)
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("CREATE TABLE alembic_version (version_num text)"))
        connection.execute(sqlalchemy.text("INSERT INTO alembic_version VALUES ('451aebb31d03')"))
    engine.dispose()
    with pytest.raises(UserError, match="has the schema 451aebb31d03, and this"):
        check_tracking(url)


def test_the_command_that_the_report_shows_has_no_secret(world, main, monkeypatch):
    kept = []
    monkeypatch.setattr("experiments.sweep.run.run_sweep", lambda *given: kept.append(given[2]) or True)
    code, _, err = main("run", "--set", "tracking.uri=http://me:s3cret@host:5000")
    assert code == 0, err
    assert kept == ["python -m experiments run --set tracking.uri=http://me:***@host:5000"]


def test_an_error_that_nobody_foresaw_is_printed_without_secrets(world, main, monkeypatch, capsys):
    uri = "http://me:s3cret@host:5000"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)

    def fail(place):
        raise RuntimeError(f"no answer from {place}: nonnumeric port: 's3cret@host'")

    monkeypatch.setattr("experiments.tracking.server.check_tracking", fail)
    with pytest.raises(RuntimeError) as raised:
        main("sync")
    sys.excepthook(raised.type, raised.value, raised.tb)
    err = capsys.readouterr().err
    assert "RuntimeError: no answer from http://me:***@host" in err
    assert "s3cret" not in err


def test_trouble_with_a_server_is_shown_without_secrets(world, monkeypatch):
    """As MLflow words it, with the whole URI in it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:s3cret@127.0.0.1:9")
    tracker = Tracker(load(Path("params.yaml")), [], TrialStore(world.store))
    tracker.close()
    assert "127.0.0.1" in tracker.trouble
    assert "s3cret" not in tracker.trouble
