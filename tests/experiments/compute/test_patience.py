"""Nothing running for a while is a state of its own: Ray is started anew once, or the run ends with what is wrong."""

import os
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from data.errors import UserError
from experiments.compute import patience, ray_tune
from experiments.compute.anew import DEATHS, RayDied
from experiments.compute.patience import IDLE_SECONDS, NODES_SECONDS, STARTING_SECONDS, Patience
from experiments.compute.ray_tune import on_ray
from experiments.compute.resources import Resources
from experiments.compute.stalled import Abandoned, Stalled

RESOURCES = Resources(workers=2, cpus=2, gpus=0)
RUNNING, PENDING = SimpleNamespace(status="RUNNING"), SimpleNamespace(status="PENDING")


@pytest.fixture
def world(monkeypatch):
    """A clock, the servers that are dead, whether worker processes are there, a cluster's CPUs, and printed lines."""
    world = SimpleNamespace(now=0.0, dead=[], workers=False, there=4.0, free=4.0, notes=[])
    monkeypatch.setattr(patience.time, "monotonic", lambda: world.now)
    monkeypatch.setattr(patience, "dead_servers", lambda: world.dead)
    monkeypatch.setattr(patience, "_worker_processes", lambda: world.workers)
    monkeypatch.setattr(patience.ray, "cluster_resources", lambda: {"CPU": world.there})
    monkeypatch.setattr(patience.ray, "available_resources", lambda: {"CPU": world.free})

    def idle(watch, seconds):
        """Nothing runs from now on: one more look after so many seconds."""
        watch.on_step_end(1, [PENDING, RUNNING])
        world.now += seconds
        watch.on_step_end(2, [PENDING])

    world.idle = idle
    return world


def watch(world, own):
    return Patience(RESOURCES, own, world.notes.append)


def test_a_dead_server_is_noticed_at_once(world):
    world.dead = ["raylet"]
    with pytest.raises(Abandoned, match="Ray's raylet died"):
        watch(world, own=True).on_step_end(1, [RUNNING])
    watch(world, own=False).on_step_end(1, [RUNNING])


def test_patience_is_longer_while_worker_processes_start(world):
    world.idle(watch(world, own=True), IDLE_SECONDS - 1)
    with pytest.raises(Abandoned, match="nothing has run for 60 s: Ray starts no worker process"):
        world.idle(watch(world, own=True), IDLE_SECONDS)
    world.workers = True
    world.idle(watch(world, own=True), STARTING_SECONDS - 1)
    with pytest.raises(Abandoned):
        world.idle(watch(world, own=True), STARTING_SECONDS)


def test_a_cluster_that_others_use_is_waited_for(world):
    world.free = 1.0
    watching = watch(world, own=False)
    world.idle(watching, 10 * NODES_SECONDS)
    watching.on_step_end(3, [PENDING])
    assert world.notes == ["nothing runs now: others use the whole cluster; waiting for it"]


def test_a_cluster_without_nodes_or_that_starts_nothing_is_given_up(world):
    with pytest.raises(Stalled, match="the cluster has room, and starts no worker process"):
        world.idle(watch(world, own=False), STARTING_SECONDS)
    world.there = world.free = 1.0
    world.idle(watch(world, own=False), NODES_SECONDS - 1)
    assert world.notes == ["nothing runs now: the cluster has lost its nodes; waiting for it"]
    with pytest.raises(Stalled, match="the cluster has no node left that could run a trial"):
        world.idle(watch(world, own=False), NODES_SECONDS)


@pytest.fixture
def rays(monkeypatch):
    """How often Ray was started; the errors in `rays.broken` are raised by the starts, in turn."""
    rays = SimpleNamespace(started=0, broken=[None, None])

    @contextmanager
    def own_ray(resources):
        rays.started += 1
        if error := rays.broken[rays.started - 1]:
            raise error
        yield

    monkeypatch.setattr(ray_tune, "own_ray", own_ray)
    return rays


def outcomes(*errors):
    """A function that raises the errors, one in each call; None is a good end."""
    left = list(errors)

    def run():
        if error := left.pop(0):
            raise error

    return run


def test_a_stalled_ray_of_this_machine_asks_for_another_process(rays):
    notes = []
    with pytest.raises(RayDied, match="Ray's raylet died"):
        on_ray(RESOURCES, True, notes.append, outcomes(Stalled("Ray's raylet died")))
    assert notes == ["Ray's raylet died: Ray is started anew, and trials go on from their last checkpoints"]
    assert rays.started == 1


def test_the_second_death_promises_nothing_and_the_third_process_starts_no_ray(rays, monkeypatch):
    notes = []
    monkeypatch.setenv(DEATHS, "1 Ray's raylet died")
    with pytest.raises(RayDied, match="again"):
        on_ray(RESOURCES, True, notes.append, outcomes(Stalled("again")))
    assert notes == []
    monkeypatch.setenv(DEATHS, "2 Ray's gcs_server died")
    with pytest.raises(Stalled, match=r"^Ray's gcs_server died$"):
        on_ray(RESOURCES, True, notes.append, outcomes(None))
    assert rays.started == 1


def test_what_keeps_the_second_ray_from_starting_is_told(rays, monkeypatch):
    rays.broken[0] = UserError("Ray does not start on this machine (no room)")
    monkeypatch.setenv(DEATHS, "1 Ray's raylet died")
    with pytest.raises(Stalled, match="does not start"):
        on_ray(RESOURCES, True, lambda line: None, outcomes(None))


def test_a_process_is_replaced_by_one_of_the_same_command_with_the_same_id(tmp_path):
    script = tmp_path / "dies.py"
    script.write_text(
        "import atexit, os, sys\n"
        "from experiments.compute.anew import RayDied, deaths, replaced_where_ray_dies\n"
        "print(os.getpid(), sys.argv[1:], *deaths(), sep='|')\n"
        "with replaced_where_ray_dies():\n"
        "    try:\n"
        "        if deaths()[0] < 2:\n"
        "            raise RayDied(f'death {deaths()[0] + 1}')\n"
        "    finally:\n"
        "        print('closed')\n"
        "sys.exit(3)\n"
    )
    command = [sys.executable, "-X", "utf8", script, "a b", "--c"]
    ended = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": os.getcwd()})
    lines = ended.stdout.splitlines()
    assert (ended.returncode, ended.stderr, lines[1::2]) == (3, "", ["closed"] * 3)
    (pid,) = {line.split("|")[0] for line in lines[::2]}
    told = [f"{pid}|['a b', '--c']|{count}|{reason}" for count, reason in [(0, ""), (1, "death 1"), (2, "death 2")]]
    assert lines[::2] == told


def test_a_cluster_is_not_started(rays):
    with pytest.raises(Stalled):
        on_ray(RESOURCES, False, lambda line: None, outcomes(Stalled("once")))
    assert rays.started == 0
