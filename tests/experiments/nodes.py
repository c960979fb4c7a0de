"""A real Ray cluster of several nodes on this machine."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOKEN = "f" * 64


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


class Nodes:
    """Nodes that `ray start` makes, each with one CPU and `gpus` GPUs; they ask for a token."""

    def __init__(self, folder, environment, *, jobs=False, gpus=0):
        path = os.pathsep.join([str(Path(sys.executable).parent), environment["PATH"]])
        token = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
        self.folder, self.gpus = folder, gpus
        # As in tests/conftest.py: workers that do not give way to another load.
        self.environment = environment | token | {"OMP_NUM_THREADS": "1", "PATH": path, "RAY_worker_niceness": "0"}
        port, dashboard = free_port(), free_port()
        self.address, self.dashboard = f"127.0.0.1:{port}", f"http://127.0.0.1:{dashboard}"
        self.log, self.started, self.joined, self.temporary = folder / "nodes.log", [], 0, []
        self.start("--head", f"--port={port}", f"--dashboard-port={dashboard}", f"--include-dashboard={jobs}".lower())
        self.add()

    def start(self, *arguments):
        """Starts a node and waits until it has joined."""
        command = [Path(sys.executable).parent / "ray", "start", "--block", "--num-cpus=1", f"--num-gpus={self.gpus}"]
        command += [
            "--disable-usage-stats",
            "--dashboard-agent-listen-port=0",
        ]  # another cluster may have the fixed one
        # A folder for each node: in a shared one, a node that ends removes the code that the other one is running.
        temporary = tempfile.mkdtemp(prefix="r", dir="/tmp")  # short, since Ray's sockets are in it
        self.temporary.append(temporary)
        command += ["--node-ip-address=127.0.0.1", f"--temp-dir={temporary}", *arguments]
        with self.log.open("a") as log:
            node = subprocess.Popen(
                command, cwd=self.folder, env=self.environment | {"TMPDIR": temporary},
                stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self.started.append(node)
        self.joined += 1
        deadline = time.monotonic() + 120
        while self.log.read_text().count("Ray runtime started.") < self.joined:
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def add(self):
        self.start("--address", self.address)

    def kill(self, index):
        os.killpg(self.started.pop(index).pid, signal.SIGKILL)

    def end(self):
        while self.started:
            self.kill(-1)
        for folder in self.temporary:
            shutil.rmtree(folder, ignore_errors=True)
