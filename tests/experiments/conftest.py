"""Fixtures for trials: a folder with synthetic images (a world), and toy systems, some of which fail on purpose."""

import os
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from ruamel.yaml import YAML
from sqlalchemy import Engine, event

from experiments.learning import contract
from tests.experiments.nodes import Nodes
from tests.experiments.postgres import binaries, server

pytest.register_assert_rewrite("tests.experiments.sweeping")
ROOT = Path(__file__).parents[2]
TOYS = Path(__file__).parent / "toy"
REPETITIONS = 3


@pytest.fixture(scope="session")
def toy_modules():
    """The two toy modules and the toy systems, which are registered only for tests that ask for a world."""
    sys.path.insert(0, str(TOYS))
    contract.SYSTEMS.names()
    real = dict(contract.SYSTEMS.known)
    import toy_data
    import toy_systems

    for name in contract.SYSTEMS.known.keys() - real:
        del contract.SYSTEMS.known[name]
    # Not what has just been registered: another folder's fixture may have imported the toys before.
    own = [kind for kind in vars(toy_systems).values() if getattr(kind, "__module__", "") == toy_systems.__name__]
    toys = {kind.name: kind() for kind in own if isinstance(kind, type) and issubclass(kind, contract.System)}
    yield toy_data, toy_systems, toys
    sys.path.remove(str(TOYS))


@pytest.fixture(scope="session")
def toy_images(toy_modules, tmp_path_factory):
    root = tmp_path_factory.mktemp("images") / "data"
    toy_modules[0].make(root, REPETITIONS)
    return root


@pytest.fixture(scope="session", autouse=True)
def unsynced():
    """SQLite does not wait for the disk in this process: no test cuts the power, and MLflow's waits take seconds."""

    def set_up(connection, record):
        if isinstance(connection, sqlite3.Connection):
            connection.execute("PRAGMA synchronous = OFF")

    event.listen(Engine, "connect", set_up)
    yield
    event.remove(Engine, "connect", set_up)


@pytest.fixture(scope="session")
def empty_db(tmp_path_factory):
    """A database with MLflow's tables, whose creation takes seconds."""
    from mlflow import MlflowClient

    path = tmp_path_factory.mktemp("mlflow") / "mlflow.db"
    MlflowClient(f"sqlite:///{path}").search_experiments()
    return path


class World:
    """A folder with data and a params.yaml, in which commands are run."""

    def __init__(self, folder):
        self.folder = folder
        self.store = folder / "experiments/store"
        self.results = folder / "experiments/results.csv"
        path = os.pathsep.join([str(ROOT), str(TOYS)])
        self.environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
        self.environment.pop("MLFLOW_TRACKING_URI", None)

    def params(self, **changes):
        """Writes params.yaml: one toy system at one proportion; `changes` replace top-level sections."""
        profile = {"systems": ["toy"], "proportions": [0.1], "xi": ["auto"], "repetitions": 1}
        sections = {
            "dataset": "mnist-5k",
            "profile": "default",
            "profiles": {"default": {**profile, **changes.pop("default", {})}},
            "compute": {"workers": 2},
            "toys": {"epochs": 3},
            "systems": {},
            **changes,
        }
        with (self.folder / "params.yaml").open("w") as stream:
            YAML(typ="safe").dump(sections, stream)

    def start(self, *arguments):
        """Starts a command as a process whose output is captured."""
        return subprocess.Popen(
            [sys.executable, TOYS / "toy_main.py", *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *arguments, code=0):
        """Runs a command to its end and returns its output and error output."""
        process = self.start(*arguments)
        out, err = process.communicate(timeout=300)
        assert process.returncode == code, f"{out}\n{err}"
        return out, err


@pytest.fixture
def tracked(world, empty_db):
    """A world whose MLflow database has its tables."""
    shutil.copy(empty_db, world.folder / "mlflow.db")
    return world


@pytest.fixture
def world(toy_images, toy_modules, tmp_path, monkeypatch):
    """An empty world: this process works in it and knows the toy systems."""
    for name, system in toy_modules[2].items():
        monkeypatch.setitem(contract.SYSTEMS.known, name, system)
    (tmp_path / "data").symlink_to(toy_images)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    world = World(tmp_path)
    world.params()
    return world


@pytest.fixture
def nodes(tracked, tmp_path_factory):
    """A cluster of two nodes, whose processes can import the toys."""
    # Without the settings that tests which started Ray in this process have left behind.
    own = {name: value for name, value in tracked.environment.items() if not name.startswith(("RAY_", "TUNE_"))}
    tracked.environment = own
    made = Nodes(tmp_path_factory.mktemp("elsewhere"), own)
    yield made
    made.end()


@pytest.fixture(scope="session")
def postgres():
    """A PostgreSQL server that asks for a password."""
    if binaries() is None:
        pytest.skip("PostgreSQL is not installed: neither on PATH nor in /usr/lib/postgresql")
    with server() as started:
        yield started


@pytest.fixture
def main(monkeypatch, capsys):
    """Runs a command in this process and returns its exit code, output and error output."""
    from experiments.__main__ import main as run_main

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["experiments", *arguments])
        try:
            run_main()
            code = 0
        except SystemExit as stop:
            code = stop.code
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.fixture
def cpu():
    return torch.device("cpu")
