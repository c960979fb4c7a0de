"""The whole of it at once: a sweep as a job of a real cluster, its data and trials on S3, MLflow on a server."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from mlflow import MlflowClient
from ruamel.yaml import YAML

from data.remote.push_pull import push_dataset
from experiments.cluster import jobs
from experiments.settings.config import load
from experiments.trial_store.object_store import Objects
from tests.experiments.conftest import ROOT
from tests.experiments.mlflow_server import MlflowServer
from tests.experiments.nodes import Nodes
from tests.experiments.searching import ask_for
from tests.experiments.sweeping import table, timeless, wait_for


class Project:
    """A folder with the shipped settings, cut short, and the commands run in it."""

    def __init__(self, folder, environment):
        self.folder, self.environment = folder, environment
        self.results = folder / "experiments/results.csv"
        folder.mkdir(exist_ok=True)
        params = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
        params["profiles"]["default"] |= {"repetitions": 1, "proportions": [0.01, 0.1]}
        params["vae"] |= {"updates": 1, "epochs": 1, "batch": 350, "labelled_batch": 32, "draws": 1}
        params["supervised"] |= {"updates": 1, "epochs": 1}
        self.params = params
        self.compute(workers=2)

    def compute(self, **settings):
        """Writes params.yaml with those in section `compute`."""
        self.params["compute"] |= settings
        with (self.folder / "params.yaml").open("w") as stream:
            YAML(typ="safe").dump(self.params, stream)

    def start(self, *arguments):
        return subprocess.Popen(
            [sys.executable, "-m", "experiments", *arguments], cwd=self.folder, env=self.environment,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip


@pytest.fixture
def mlflow_server(tracked):
    """Where a tracking server is."""
    home = tracked.folder / "server"
    home.mkdir()
    shutil.copy(tracked.folder / "mlflow.db", home)
    server = MlflowServer(home)
    yield server.uri
    server.kill()


@pytest.fixture
def copies():
    """A folder for temporary files, this machine's copies among them; short, for Ray's sockets are in it."""
    with tempfile.TemporaryDirectory(prefix="r", dir="/tmp", ignore_cleanup_errors=True) as name:
        yield name


class RecordingClient:
    """Stands for Ray's client of jobs: keeps the settings that a job is sent with."""

    def submit_job(self, entrypoint, runtime_env, metadata):
        self.settings = (Path(runtime_env["working_dir"]) / "params.yaml").read_text()
        self.environment = runtime_env["env_vars"]
        return "job"


def test_a_job_gets_the_settings_of_this_command(world):
    config = load(Path("params.yaml"), {"toys.epochs": 7, "profiles.default.repetitions": 2})
    client = RecordingClient()
    jobs._send(client, config, [], "sweep", "http://mlflow")
    Path("sent.yaml").write_text(client.settings)
    assert load(Path("sent.yaml")).resolved() == config.resolved()
    assert load(Path("params.yaml")).resolved() != config.resolved()


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"tracking.uri": "http://me:s3cret@host:5000"}, "the tracking URI http://me:***@host:5000 has a secret in it"),
        ({"tracking.uri": "https://s3cret@host"}, "the tracking URI https://***@host has a secret in it"),
        ({"tracking.uri": "https://host/?token=s3cret"}, "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        ({"search.storage": "postgresql://me:s3cret@host/d"}, "search.storage postgresql://me:***@host/d has a secret"),
    ],
)
def test_no_secret_is_sent_with_a_job(world, main, changes, told):
    """Who sees Ray's dashboard can read a job's environment, and download its files."""
    ask_for(world, {"toy": {"epochs": {"low": 1, "high": 9}}})
    places = ["--store", f"{world.folder}/store", "--data", f"{world.folder}/data"]
    sets = [part for name, value in changes.items() for part in ("--set", f"{name}={value}")]
    code, out, err = main("submit", "--address", "http://127.0.0.1:9", *places, *sets)
    assert code == 2
    assert told in err
    assert err.count("\n") == 1
    assert "s3cret" not in out + err


def test_a_job_gets_no_more_of_the_environment_than_it_needs(world, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "s3cret")
    client = RecordingClient()
    jobs._send(client, load(Path("params.yaml")), [], "sweep", "http://mlflow")
    assert set(client.environment) == {"MLFLOW_TRACKING_URI", "EXPERIMENTS_REVISION"}


def test_a_password_in_the_address_of_the_dashboard_is_not_printed(world, main, monkeypatch):
    monkeypatch.setattr(jobs, "check_tracking", lambda uri: None)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://host:5000")
    places = ["--store", f"{world.folder}/store", "--data", f"{world.folder}/data"]
    code, out, err = main("submit", "--address", "http://me:s3cret@127.0.0.1:9", *places)
    assert code == 2
    assert "no Ray jobs at http://me:***@127.0.0.1:9" in err
    assert "s3cret" not in out + err


@pytest.mark.slow
def test_the_default_sweep_as_a_job_that_loses_a_node_gives_the_table_of_a_local_run(
    tracked, bucket, mlflow_server, copies, tmp_path_factory
):
    push_dataset("mnist-5k", Path("data"), f"s3://{bucket}/data")
    own = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "TUNE_"))}
    own |= {"PYTHONPATH": str(ROOT), "TMPDIR": copies}
    nodes = Nodes(tmp_path_factory.mktemp("elsewhere"), own | {"PYTHONPATH": ""}, jobs=True, gpus=1)
    here = Project(
        tmp_path_factory.mktemp("here"),
        nodes.environment | {"PYTHONPATH": str(ROOT), "MLFLOW_TRACKING_URI": mlflow_server},
    )
    places = ["--store", f"s3://{bucket}/trials", "--data", f"s3://{bucket}/data"]
    submit = ["submit", "--address", nodes.dashboard, *places]
    try:
        job = here.start(*submit)
        out, err = job.communicate(timeout=400)
        print(out, err)
        assert job.returncode == 2
        assert "says that it has 1 GPU, none of which PyTorch can use" in err
        here.compute(gpus_per_trial=0)
        job = here.start(*submit)
        assert job.stdout.readline().startswith("job ")
        job.send_signal(signal.SIGINT)
        job.communicate(timeout=60)
        assert job.returncode == 130
        job = here.start(*submit)
        assert "is at work on it already" in job.stdout.readline()
        objects = Objects(places[1])
        wait_for(lambda: job.poll() is not None or sum("result.json" in name for name in objects.names()) >= 3, 300)
        nodes.kill(1)
        nodes.add()
        out, err = job.communicate(timeout=400)
        print(out, err)
        assert job.returncode == 0, err
    finally:
        nodes.end()
    local = Project(tmp_path_factory.mktemp("local"), own)
    local.compute(gpus_per_trial=0)
    (local.folder / "data").symlink_to(Path("data").resolve())
    shutil.copy("mlflow.db", local.folder)
    run = local.start("run")
    out, err = run.communicate(timeout=300)
    assert run.returncode == 0, err
    assert timeless(here.results) == timeless(local.results)
    rows = table(here.results)
    assert len(rows) == 7
    client = MlflowClient(mlflow_server)
    runs = client.search_runs([client.get_experiment_by_name("mnist-5k").experiment_id])
    identities = Counter(run.data.tags["identity"] for run in runs if "identity" in run.data.tags)
    assert identities == {row["trial_id"]: 1 for row in rows}
    assert {run.info.run_id for run in runs} >= {row["mlflow_run_id"] for row in rows}
