"""A real MLflow server on this machine, in processes of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

from tests.experiments.nodes import free_port
from tests.experiments.sweeping import wait_for


class MlflowServer:
    """Answers at `uri` once made; killed, it can be started again at the same place with what it knew."""

    def __init__(self, folder, database="sqlite:///mlflow.db", environment=None):
        self.folder, self.database = folder, database
        # MLflow's own jobs would be seven more processes, which these tests do not need.
        self.environment = (environment or os.environ) | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        self.port = free_port()
        self.uri, self.process = f"http://127.0.0.1:{self.port}", None
        self.start()

    def start(self):
        command = [Path(sys.executable).parent / "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", self.database, "--artifacts-destination", "./mlartifacts", "--workers", "1"]
        with (self.folder / "server.log").open("a") as log:
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=self.environment, stdout=log, stderr=log, start_new_session=True
            )
        wait_for(self.answers)

    def answers(self):
        assert self.process.poll() is None, (self.folder / "server.log").read_text()
        try:
            urllib.request.urlopen(f"{self.uri}/health", timeout=5).close()
        except OSError:
            return False
        return True

    def kill(self):
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
