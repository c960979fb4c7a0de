"""Trials on several devices: real processes on the CPU, which communicate through gloo."""

import dataclasses
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing

from data.errors import UserError
from experiments.compute.resources import resolve
from experiments.learning import contract
from experiments.learning.ranks import ALONE, Ranks
from experiments.settings.config import load
from experiments.settings.schema import Compute
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout
from experiments.trials.grid import trials
from experiments.trials.run import epochs, follow
from tests.experiments.learning.test_variational import SHIPPED, settings_of, task_of

PROCESSES = 2
STEPS = 3
STILL = {"shift": 0, "rotation": 0, "zoom": 0}
# Parts of 7 images, and of 5 labelled ones, are not equally large, nor in the same proportion.
VARIATIONAL = {**STILL, "batch": 7, "labelled_batch": 5}
SUPERVISED = {**STILL, "epochs": 1, "updates": 5, "batch": 7, "width": 0.1, "dropout": 0.0}
CASES = [("bsvm", VARIATIONAL), ("m2", VARIATIONAL), ("alexnet", SUPERVISED)]


def settings(name, changes):
    if "vae" in contract.SYSTEMS.get(name).shares:
        return settings_of(name, **changes)
    section = {**SHIPPED["supervised"], **SHIPPED["systems"][name], **changes}
    return contract.SYSTEMS.get(name).Settings.model_validate(section)


def trained(name, changes, ranks):
    """Returns the scalars of a few steps and the weights after them.

    Codes are their means: ranks differ in the numbers that they draw, and in nothing else.
    """
    with mock.patch("vae.encoder.normal_like", torch.zeros_like):
        learner = contract.SYSTEMS.get(name).learner(
            dataclasses.replace(task_of(), ranks=ranks), settings(name, changes)
        )
        steps = learner.epoch(0)
        rows = [{key: float(value) for key, value in next(steps).items()} for _ in range(STEPS)]
    return [ranks.mean(row) for row in rows], learner.model.state_dict()


def in_a_process(index, folder):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=index, world_size=PROCESSES)
    ranks = Ranks(index, PROCESSES)
    results = [trained(name, changes, ranks) for name, changes in CASES]
    statistics = torch.nn.BatchNorm1d(2)
    statistics.running_mean.fill_(index + 1.0)
    ranks.broadcast_buffers(statistics)
    received = ranks.broadcast({"weights": torch.ones(2), "rows": [1]} if index == 0 else None)
    torch.save({"results": results, "mean": statistics.running_mean, "received": received}, f"{folder}/{index}.pt")
    distributed.destroy_process_group()


def whole_trials(index, trial, folder):
    """Runs the trial undisturbed, and again with a stop after its first epoch."""
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=index, world_size=PROCESSES)
    for store, stopped in (("undisturbed", False), ("stopped", True)):
        for rows in [rows_of_rank(index, trial, store) for _ in range(1 + stopped)]:
            if stopped:
                next(rows)
                rows.close()
                stopped = False
            else:
                list(rows)
    distributed.destroy_process_group()


def rows_of_rank(index, trial, store):
    device, ranks = torch.device("cpu"), Ranks(index, PROCESSES)
    if index:
        return follow(trial, Layout(), device, ranks)
    return epochs(trial, Layout(), TrialStore(Path(store)).folder(trial.identity), device, ranks=ranks)


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    """What each of the processes had in the end."""
    folder = tmp_path_factory.mktemp("ranks")
    multiprocessing.spawn(in_a_process, (str(folder),), PROCESSES)
    return [torch.load(folder / f"{index}.pt") for index in range(PROCESSES)]


@pytest.mark.parametrize("case", range(len(CASES)), ids=[name for name, _ in CASES])
def test_two_devices_take_the_step_of_one(processes, case):
    rows, weights = trained(*CASES[case], ALONE)
    for process in processes:
        their_rows, their_weights = process["results"][case]
        assert [row["images"] for row in their_rows] == [row["images"] for row in rows]
        assert [row["loss"] for row in their_rows] == pytest.approx([row["loss"] for row in rows], rel=1e-6)
        torch.testing.assert_close(their_weights, weights, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("case", range(len(CASES)), ids=[name for name, _ in CASES])
def test_devices_never_drift_apart(processes, case):
    (_, first), (_, second) = (process["results"][case] for process in processes)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_first_process_broadcasts(processes):
    for process in processes:
        assert process["mean"].tolist() == [1.0, 1.0]
        assert process["received"]["rows"] == [1]
        assert process["received"]["weights"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_parts_are_the_whole_batch(count):
    batch = np.arange(7)
    parts = [Ranks(index, count).part(batch) for index in range(count)]
    assert np.concatenate(parts).tolist() == batch.tolist()
    sizes = [len(part) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    with pytest.raises(UserError, match="a batch of 7 images cannot be spread over 8 devices"):
        Ranks(0, 8).part(batch)


def test_each_process_draws_its_own_numbers():
    assert len({Ranks(index, 3).seed(5) for index in range(3)} | {ALONE.seed(5)}) == 4
    assert ALONE.seed(5) == 5


@pytest.fixture
def alexnet(world):
    """Writes params for one trial of a small AlexNet with dropout, on several devices; returns the trial."""

    def make(devices):
        small = {"epochs": 2, "updates": 8, "batch": 16, "width": 0.1}
        world.params(
            default={"systems": ["alexnet"]},
            compute={"devices_per_trial": devices},
            supervised={**SHIPPED["supervised"], **small},
            vae=SHIPPED["vae"],
            systems={"alexnet": SHIPPED["systems"]["alexnet"]},
        )
        (trial,) = trials(load(Path("params.yaml")), Layout())
        return trial

    return make


@pytest.mark.slow
def test_a_stopped_trial_goes_on_on_all_devices(alexnet, tmp_path):
    trial = alexnet(2)
    multiprocessing.spawn(whole_trials, (trial, str(tmp_path)), PROCESSES)
    whole, resumed = (TrialStore(Path(store)).folder(trial.identity) for store in ("undisturbed", "stopped"))
    assert [row["loss"] for row in whole.rows()] == [row["loss"] for row in resumed.rows()]
    assert [row["images_per_second"] > 0 for row in whole.rows()] == [True, True]
    for name in ("top1", "ece", "updates", "images_drawn", "devices"):
        assert whole.result()[name] == resumed.result()[name]


def test_a_trial_on_several_devices_is_another_one(alexnet):
    alone, pair, three = (alexnet(devices) for devices in (None, 2, 3))
    assert alexnet(1).identity == alone.identity
    assert len({alone.identity, pair.identity, three.identity}) == 3
    assert "devices" not in alone.mapping
    assert pair.mapping["devices"] == 2


def test_a_system_that_cannot_be_spread_is_refused(world):
    world.params(compute={"devices_per_trial": 2})
    with pytest.raises(UserError, match="devices_per_trial = 2: toy can be trained on one device only"):
        trials(load(Path("params.yaml")), Layout())


@pytest.mark.parametrize(
    ("compute", "cores", "gpus", "workers", "share"),
    [
        ({}, 16, 0, 8, 0),
        ({"cpus_per_trial": 4}, 16, 0, 2, 0),
        ({}, 16, 8, 4, 1),
        ({}, 6, 8, 3, 1),
        ({"gpus_per_trial": 0}, 6, 8, 3, 0),
        ({"workers": 1}, 16, 8, 1, 1),
    ],
)
def test_each_device_is_a_whole_gpu_or_some_cpus(compute, cores, gpus, workers, share):
    found = resolve(Compute(devices_per_trial=2, **compute), cores, gpus)
    assert (found.workers, found.gpus, found.devices, found.stack) == (workers, share, 2, 1)


@pytest.mark.parametrize(
    ("compute", "cores", "gpus", "message"),
    [
        ({"devices_per_trial": 3}, 2, 0, "devices_per_trial = 3: this machine has CPUs for 2 at once"),
        ({"devices_per_trial": 3}, 8, 2, "this machine has 2 GPUs and CPUs for 8 at once"),
        ({"devices_per_trial": 2, "gpus_per_trial": 0.5}, 8, 2, "each is a whole GPU"),
        ({"devices_per_trial": 2, "gpus_per_trial": 1.0}, 8, 0, "this machine has 0 GPUs"),
    ],
)
def test_more_devices_than_there_are_are_refused(compute, cores, gpus, message):
    with pytest.raises(UserError, match=message):
        resolve(Compute(**compute), cores, gpus)
