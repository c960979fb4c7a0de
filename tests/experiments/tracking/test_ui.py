"""`make ui`: MLflow's page is for this machine alone, and answers to no other name."""

import os
import shutil
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from tests.data.workers.listening import beyond_loopback, listening
from tests.experiments.conftest import ROOT
from tests.experiments.nodes import free_port
from tests.experiments.sweeping import wait_for, wait_until_gone


def make_ui(folder, port):
    """Starts the command in a folder whose environment counts as made."""
    (folder / ".venv").mkdir()
    for name in ("requirements.lock", "pyproject.toml", ".venv/.installed"):
        (folder / name).touch()
    (folder / ".venv/bin").symlink_to(Path(sys.executable).parent)
    return subprocess.Popen(
        ["make", "--no-print-directory", "-f", ROOT / "Makefile", "ui", f"PORT={port}"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def asked(port, path="/", host=None, data=None, **headers):
    """The status and the text that a request gets."""
    headers |= {"Host": host} if host else {}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", data=data, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()
    except OSError:
        return 0, ""


@pytest.mark.slow
def test_the_page_is_for_this_machine_alone_and_answers_to_no_other_name(tmp_path, empty_db):
    shutil.copy(empty_db, tmp_path / "mlflow.db")
    port = free_port()
    server = make_ui(tmp_path, port)
    search = "/api/2.0/mlflow/experiments/search"
    try:
        wait_for(lambda: asked(port, "/health")[0] == 200, 200)
        assert ("127.0.0.1", port) in listening(server.pid)
        assert beyond_loopback(server.pid) == {}
        for own in (f"127.0.0.1:{port}", f"localhost:{port}"):
            assert asked(port, f"{search}?max_results=1", own)[0] == 200
        # Names that an attacker's page may have this machine's browser send, once its name leads to 127.0.0.1.
        names = ("evil.example", f"evil.example:{port}", f"192.168.1.5:{port}", "127.0.0.1:1", f"localhost.evil:{port}")
        for foreign in names:
            status, text = asked(port, f"{search}?max_results=1", foreign)
            assert (status, "Invalid Host header" in text) == (403, True), foreign
        create = "/api/2.0/mlflow/experiments/create"
        content = {"Content-Type": "application/json", "Origin": "http://evil.example"}
        assert asked(port, create, data=b'{"name": "theirs"}', **content)[0] == 403
        status, text = asked(port, f"{search}?max_results=nonsense")
        assert "Traceback" not in text  # as a server that is in debug mode shows
        assert asked(port, "/console")[0] == 404
    finally:
        os.killpg(server.pid, signal.SIGINT)
        server.wait(timeout=60)
    wait_until_gone({server.pid})


def test_without_results_there_is_no_page(tmp_path):
    server = make_ui(tmp_path, free_port())
    out, _ = server.communicate(timeout=60)
    assert server.returncode == 2
    assert "error: there is no mlflow.db here yet" in out
    assert not (tmp_path / "mlflow.db").exists()
