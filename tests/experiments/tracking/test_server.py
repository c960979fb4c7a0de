"""Where MLflow is looked for, and a server that refuses."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from data.errors import UserError
from experiments.settings.config import load
from experiments.tracking.server import check_tracking, tracking_uri


def test_where_mlflow_is(world, monkeypatch):
    config = load(Path("params.yaml"))
    assert tracking_uri(config) == "sqlite:///mlflow.db"
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://server:5000")
    assert tracking_uri(config) == "http://server:5000"
    world.params(tracking={"uri": "sqlite:///mine.db"})
    assert tracking_uri(load(Path("params.yaml"))) == "sqlite:///mine.db"
    check_tracking("sqlite:///mine.db")


def test_a_server_that_does_not_answer_to_its_name(monkeypatch):
    """As MLflow's own protection from rebound names refuses it: all but /health."""
    from mlflow.server.security_utils import HEALTH_ENDPOINTS, INVALID_HOST_MSG

    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self):
            well = self.path in HEALTH_ENDPOINTS
            self.send_response(200 if well else 403)
            self.end_headers()
            self.wfile.write(b"OK" if well else INVALID_HOST_MSG.encode())

        def log_message(self, *arguments):
            pass

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        name = f"localhost:{server.server_port}"
        try:
            with pytest.raises(UserError, match=f"to the name {name}: start it with --allowed-hosts {name}"):
                check_tracking(f"http://{name}")
        finally:
            server.shutdown()
            thread.join()
