"""The files for clusters, read by those who will read them: Ray's launcher, AWS's API, Kubernetes' fields, a shell."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import jsonschema
import pytest
import ray
import typer
import yaml

from tests.experiments.conftest import ROOT
from tests.experiments.sweeping import wait_for

FILES = ROOT / "experiments/cluster/files"
LAUNCHERS = ["launcher.yaml", "on-premise.yaml"]


def launcher(name):
    """A launcher's file as `ray up` sees it: with Ray's defaults filled in, and found valid by Ray."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    config = prepare_config(yaml.safe_load((FILES / name).read_text()))
    validate_config(config)
    return config


def commands(config):
    lists = ("setup", "head_setup", "worker_setup", "head_start_ray", "worker_start_ray")
    return [command for name in lists for command in config[f"{name}_commands"]]


@pytest.mark.parametrize("name", LAUNCHERS)
def test_ray_takes_the_launchers_files(name):
    config = launcher(name)
    for command in commands(config):
        subprocess.run(["bash", "-n", "-c", command], check=True)
    assert config["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    head = next(command for command in config["head_start_ray_commands"] if "--head" in command)
    assert "--dashboard-host=127.0.0.1" in head
    assert not any("0.0.0.0" in command for command in commands(config))
    for local in config["file_mounts"].values():
        assert local.startswith("~/.ray/") or (ROOT / local).is_file()


@pytest.mark.parametrize("name", LAUNCHERS)
def test_every_later_shell_of_a_node_asks_for_the_token(name, tmp_path):
    (line,) = {command for command in commands(launcher(name)) if ".bashrc" in command}
    environment = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    for _ in range(2):  # `ray up` runs it again
        subprocess.run(["bash", "-c", f"touch ~/.bashrc; {line}"], env=environment, check=True)
    assert len((tmp_path / ".bashrc").read_text().splitlines()) == 1
    seen = subprocess.check_output(["bash", "-c", ". ~/.bashrc; ray_mode() { printenv RAY_AUTH_MODE; }; ray_mode"],
                                   env=environment, text=True)  # fmt: skip
    assert seen == "token\n"


@pytest.mark.slow
def test_aws_takes_every_node_type(tmp_path, monkeypatch):
    moto = pytest.importorskip("moto")
    for key, value in {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x", "HOME": str(tmp_path)}.items():
        monkeypatch.setenv(key, value)
    from ray.autoscaler._private.aws import config as aws
    from ray.autoscaler._private.aws.node_provider import AWSNodeProvider

    monkeypatch.setattr(aws, "_configure_iam_role", lambda config: config)  # Ray's own, and slow to pretend
    asked = launcher("launcher.yaml")
    with moto.mock_aws():
        full = AWSNodeProvider.fillout_available_node_types_resources(asked)
        resources = {name: kind["resources"] for name, kind in full["available_node_types"].items()}
        full = AWSNodeProvider.bootstrap_config(full)
        provider = AWSNodeProvider(full["provider"], full["cluster_name"])
        made = {}
        for name, kind in full["available_node_types"].items():
            (made[name],) = provider.create_node(kind["node_config"], {"ray-node-type": name}, 1).values()
        types = {name: instance.instance_type for name, instance in made.items()}
        ended = made["head"].describe_attribute(Attribute="instanceInitiatedShutdownBehavior")
    assert types == {"head": "m6i.large", "cpu": "c6i.2xlarge", "gpu": "g5.xlarge"}
    assert resources["head"] == {"CPU": 0}
    assert resources["cpu"]["CPU"] == 8
    assert (resources["gpu"]["CPU"], resources["gpu"]["GPU"]) == (4, 1)
    assert ended["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"


def fields(required=(), **properties):
    """The schema of an object that has these fields and no others."""
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


def several(item):
    return {"type": "array", "items": item, "minItems": 1}


# What these files use of KubeRay's and Kubernetes' public API references; an API server drops what it does not know.
TEXT, COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}
QUANTITY = {"type": "string", "pattern": r"^\d+(m|Mi|Gi)?$"}
QUANTITIES = fields(**{"cpu": QUANTITY, "memory": QUANTITY, "nvidia.com/gpu": QUANTITY, "storage": QUANTITY})
CONTAINER = fields(
    required=("name", "image"),
    name={"type": "string", "pattern": "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"},
    image=TEXT,
    workingDir=TEXT,
    command=several(TEXT),
    args=several(TEXT),
    resources=fields(requests=QUANTITIES, limits=QUANTITIES),
    volumeMounts=several(fields(required=("name", "mountPath"), name=TEXT, mountPath=TEXT)),
)
TOLERATION = fields(key=TEXT, operator={"enum": ["Exists", "Equal"]}, effect={"enum": ["NoSchedule", "NoExecute"]})
CLAIM = fields(required=("claimName",), claimName=TEXT)
POD = fields(
    required=("containers",),
    initContainers=several(CONTAINER),
    containers=several(CONTAINER),
    tolerations=several(TOLERATION),
    volumes=several(fields(required=("name",), name=TEXT, persistentVolumeClaim=CLAIM)),
)
TEMPLATE = fields(required=("spec",), spec=POD)
START = {"type": "object", "additionalProperties": TEXT}
WORKERS = fields(
    required=("groupName", "minReplicas", "maxReplicas", "template"),
    groupName=TEXT,
    replicas=COUNT,
    minReplicas=COUNT,
    maxReplicas=COUNT,
    rayStartParams=START,
    template=TEMPLATE,
)
CLUSTER = fields(
    required=("headGroupSpec",),
    rayVersion=TEXT,
    authOptions=fields(mode={"enum": ["token", "disabled"]}),
    headGroupSpec=fields(required=("template",), rayStartParams=START, template=TEMPLATE),
    workerGroupSpecs=several(WORKERS),
)
JOB = fields(
    entrypoint=TEXT,
    backoffLimit=COUNT,
    shutdownAfterJobFinishes={"type": "boolean"},
    ttlSecondsAfterFinished=COUNT,
    rayClusterSpec=CLUSTER,
)
VOLUME = fields(
    accessModes=several({"enum": ["ReadWriteMany", "ReadWriteOnce"]}),
    storageClassName=TEXT,
    resources=fields(requests=QUANTITIES),
)
KINDS = {
    "RayJob": ("ray.io/v1", JOB),
    "RayCluster": ("ray.io/v1", CLUSTER),
    "PersistentVolumeClaim": ("v1", VOLUME),
}


def documents(name):
    """The documents of a manifest by kind, each found valid."""
    found = {}
    for document in yaml.safe_load_all((FILES / name).read_text()):
        version, spec = KINDS[document["kind"]]
        whole = fields(
            required=("apiVersion", "kind", "metadata", "spec"),
            apiVersion={"const": version},
            kind=TEXT,
            metadata=fields(required=("name",), name=TEXT),
            spec=spec,
        )
        jsonschema.validate(document, whole)
        found[document["kind"]] = document
    return found


def test_kubernetes_knows_every_field():
    found = documents("kuberay.yaml")
    claim, job = found["PersistentVolumeClaim"], found["RayJob"]["spec"]
    cluster = job["rayClusterSpec"]
    assert cluster["rayVersion"] == ray.__version__
    assert cluster["authOptions"] == {"mode": "token"}
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    images = set()
    for pod in (group["template"]["spec"] for group in groups):
        volumes = {volume["name"]: volume["persistentVolumeClaim"]["claimName"] for volume in pod["volumes"]}
        assert set(volumes.values()) == {claim["metadata"]["name"]}
        for container in pod["containers"] + pod.get("initContainers", []):
            images.add(container["image"])
            (mount,) = container["volumeMounts"]
            assert mount["name"] in volumes
            # Where a job starts, and so where relative paths lead: to the volume, on every node.
            assert container["workingDir"] == mount["mountPath"]
    assert len(images) == 1
    gpus = [group["template"]["spec"]["containers"][0]["resources"]["limits"].get("nvidia.com/gpu") for group in groups]
    assert gpus == [None, "1", None]


def test_a_standing_cluster_is_that_of_a_single_sweep():
    standing, single = documents("kuberay-cluster.yaml"), documents("kuberay.yaml")
    assert standing["RayCluster"]["spec"] == single["RayJob"]["spec"]["rayClusterSpec"]
    assert standing["PersistentVolumeClaim"] == single["PersistentVolumeClaim"]


def test_the_image_is_built_from_what_is_there():
    lines = (FILES / "Dockerfile").read_text().splitlines()
    (python,) = [line.removeprefix("FROM python:3.") for line in lines if line.startswith("FROM")]
    assert 11 <= int(python.split("-")[0]) <= 13
    for line in lines:
        if line.startswith("COPY"):
            assert (ROOT / line.split()[1]).exists()


def sweeps():
    """Every command of this project that the files name, by file and line."""
    for path in sorted(FILES.iterdir()):
        text = path.read_text()
        for number, line in enumerate(text.splitlines(), 1):
            for command in re.findall(r"python -m experiments ([^'`;&)#]+)", line):
                yield pytest.param(command.strip(), id=f"{path.name}:{number}")


@pytest.mark.parametrize("command", list(sweeps()))
def test_the_commands_exist(command, monkeypatch):
    from experiments.__main__ import app

    for name in ("RAY_ADDRESS", "EXPERIMENTS_STORE", "EXPERIMENTS_DATA"):
        monkeypatch.delenv(name, raising=False)
    name, *arguments = shlex.split(command.replace("$stage", "split").replace('"$@"', ""))
    typer.main.get_command(app).commands[name.rstrip(".,:")].make_context(name, arguments)


# Slurm's commands, on this machine alone: a job of two nodes, each task run here.
SRUN = """#!/bin/bash
while [[ $1 == --* ]]; do [[ $1 == --nodelist=* ]] && export SLURMD_NODENAME=${1#*=}; shift; done
echo "$SLURMD_NODENAME $*" >> "$SLURM_SUBMIT_DIR/steps"
exec "$@"
"""
SCONTROL = """#!/bin/bash
case $1 in
    show) printf 'n1\\nn2\\n' ;;
    requeue) echo "$2" >> "$SLURM_SUBMIT_DIR/requeued" ;;
esac
"""
# Instead of the sweep: what a program sees that connects to the address; or nobody's work, where Ray is of no interest.
LOOK = f"""#!/bin/bash
[ "$1" = -m ] || exec {sys.executable} "$@"
exec {sys.executable} -c 'import json, ray, sys
ray.init(sys.argv[1], logging_level="ERROR")
seen = {{"alive": [node["Alive"] for node in ray.nodes()], "CPU": ray.cluster_resources()["CPU"],
        "answer": ray.get(ray.remote(lambda: 1).remote())}}
print("seen", json.dumps(seen))' "$5"
"""
IDLE = f"""#!/bin/bash
case $1 in
    -) cat > /dev/null ;;
    -m) echo "$*" > ran; printenv RAY_AUTH_MODE RAY_AUTH_TOKEN > token
        exec {sys.executable} -c 'import time
try:
    print("at work", flush=True)
    time.sleep(60)
except KeyboardInterrupt:
    raise SystemExit(130)' ;;
    *) exec {sys.executable} "$@" ;;
esac
"""
RAY = """#!/bin/bash
exec sleep 60
"""


class Job:
    """`slurm.sh` as Slurm runs it, from a folder with a virtual environment in it."""

    def __init__(self, folder, environment, number, **programs):
        binaries = folder / ".venv/bin"
        binaries.mkdir(parents=True, exist_ok=True)
        for name, text in {"srun": SRUN, "scontrol": SCONTROL, **programs}.items():
            (binaries / name).write_text(text)
            (binaries / name).chmod(0o755)
        (binaries / "activate").write_text(f"PATH={binaries}:{Path(sys.executable).parent}:$PATH\n")
        self.folder, self.number = folder, number
        here = {"SLURM_SUBMIT_DIR": str(folder), "SLURM_JOB_ID": str(number), "SLURM_JOB_NODELIST": "n[1-2]",
                "SLURM_CPUS_PER_TASK": "1", "HEAD_IP": "127.0.0.1"}  # fmt: skip
        self.environment = {name: value for name, value in environment.items() if not name.startswith("RAY_")} | here
        self.log = folder / "job.log"

    def start(self, *arguments):
        # Slurm starts a copy of the script, elsewhere.
        copy = self.folder / "slurm_script"
        copy.write_bytes((FILES / "slurm.sh").read_bytes())
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                ["bash", copy, *arguments], cwd=self.folder, env=self.environment, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip

    def end(self, seconds):
        """Its exit code; nothing that it started is left."""
        try:
            code = self.process.wait(seconds)
        finally:
            left = subprocess.run(["pgrep", "-s", str(self.process.pid)], capture_output=True, text=True).stdout.split()
            for process in left:
                os.kill(int(process), signal.SIGKILL)
        assert not left
        return code


@pytest.fixture
def idle(tmp_path):
    return Job(tmp_path, dict(os.environ), 7, python=IDLE, ray=RAY)


@pytest.mark.parametrize(("sent", "requeued"), [(signal.SIGUSR1, True), (signal.SIGTERM, False)])
def test_a_job_whose_time_is_up_is_requeued_and_a_cancelled_one_is_not(idle, sent, requeued):
    idle.start("--params", "other params.yaml")
    wait_for(lambda: "at work" in idle.log.read_text())
    idle.process.send_signal(sent)
    assert idle.end(30) == 130
    assert (idle.folder / "requeued").exists() == requeued
    assert (
        idle.folder / "ran"
    ).read_text() == "-m experiments run --address 127.0.0.1:20007 --params other params.yaml\n"
    mode, token = (idle.folder / "token").read_text().split()
    assert (mode, len(token)) == ("token", 64)
    steps = (idle.folder / "steps").read_text()
    assert token not in steps + idle.log.read_text()
    started_and_cleaned = re.findall(r"^(n\d) (bash|rm)", steps, re.M)  # nodes start side by side
    assert sorted(started_and_cleaned[:2]) + started_and_cleaned[2:] == [
        ("n1", "bash"), ("n2", "bash"), ("n1", "rm"), ("n2", "rm"),
    ]  # fmt: skip


@pytest.mark.slow
def test_a_job_of_two_nodes_starts_ray_on_both_and_leaves_nothing_behind(tmp_path):
    number = 10_000 + int(time.time()) % 9_999  # its port is another each time
    job = Job(tmp_path, dict(os.environ), number, python=LOOK)
    job.start()
    assert job.end(200) == 0, job.log.read_text()
    (seen,) = re.findall(r"^seen (.*)", job.log.read_text(), re.M)
    assert json.loads(seen) == {"alive": [True, True], "CPU": 2.0, "answer": 1}
    assert not Path(f"/tmp/ray-{number}").exists()
    assert not subprocess.run(["pgrep", "-f", f"/tmp/ray-{number}/"], capture_output=True).stdout
