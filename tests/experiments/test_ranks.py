"""Trials over several devices: real processes on the CPU, which speak through gloo."""

import dataclasses
from unittest import mock

import numpy as np
import pytest
import torch
from torch import distributed, multiprocessing

from experiments.errors import UserError
from experiments.ranks import ALONE, Ranks
from experiments.systems import contract
from tests.experiments.test_variational import SHIPPED, settings_of, task_of

PROCESSES = 2
STEPS = 3
STILL = {"shift": 0, "rotation": 0, "zoom": 0}
# Parts of 7 images, and of 5 labelled ones, are not equally large, nor in the same proportion.
VARIATIONAL = {**STILL, "batch": 7, "labelled_batch": 5}
SUPERVISED = {**STILL, "epochs": 1, "epoch_images": 32, "batch": 7, "width": 0.1, "dropout": 0.0}
CASES = [("bsvm", VARIATIONAL), ("m2", VARIATIONAL), ("alexnet", SUPERVISED)]


def settings(name, changes):
    if contract.get(name).shares == "vae":
        return settings_of(name, **changes)
    section = {**SHIPPED["supervised"], **SHIPPED["systems"][name], **changes}
    return contract.get(name).Settings.model_validate(section)


def trained(name, changes, ranks):
    """The weights after a few steps and what the steps told, but for what is drawn: in that alone ranks differ."""
    with mock.patch("vae.encoder.normal_like", torch.zeros_like):
        learner = contract.get(name).learner(dataclasses.replace(task_of(), ranks=ranks), settings(name, changes))
        steps = learner.epoch(0)
        rows = [{key: float(value) for key, value in next(steps).items()} for _ in range(STEPS)]
    return [ranks.mean(row) for row in rows], learner.model.state_dict()


def in_a_process(index, folder):
    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=index, world_size=PROCESSES)
    ranks = Ranks(index, PROCESSES)
    found = [trained(name, changes, ranks) for name, changes in CASES]
    statistics = torch.nn.BatchNorm1d(2)
    statistics.running_mean.fill_(index + 1.0)
    ranks.agree(statistics)
    heard = ranks.told({"weights": torch.ones(2), "rows": [1]} if index == 0 else None)
    torch.save({"found": found, "mean": statistics.running_mean, "heard": heard}, f"{folder}/{index}.pt")
    distributed.destroy_process_group()


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
        told, found = process["found"][case]
        assert [row["images"] for row in told] == [row["images"] for row in rows]
        assert [row["loss"] for row in told] == pytest.approx([row["loss"] for row in rows], rel=1e-6)
        torch.testing.assert_close(found, weights, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("case", range(len(CASES)), ids=[name for name, _ in CASES])
def test_devices_never_drift_apart(processes, case):
    (_, first), (_, second) = (process["found"][case] for process in processes)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_the_first_process_has_the_say(processes):
    for process in processes:
        assert process["mean"].tolist() == [1.0, 1.0]
        assert process["heard"]["rows"] == [1]
        assert process["heard"]["weights"].tolist() == [1.0, 1.0]


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
