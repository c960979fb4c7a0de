"""How many trials share a GPU, with a GPU that is simulated: PyTorch's functions are replaced."""

import math
import weakref
from pathlib import Path
from types import SimpleNamespace

import pytest
import ray
import torch

from data.errors import UserError
from experiments.compute.gpu_memory import GIB, MARGIN, Held, Meter, Room, fitting, room
from experiments.compute.resources import Resources
from experiments.learning.device import release_memory
from experiments.settings.config import load
from experiments.settings.schema import Compute
from experiments.sweep.cost import Costs
from experiments.sweep.gpu_sharing import share_gpus
from experiments.trial_store.layout import Layout
from experiments.trials.grid import trials
from experiments.trials.run import epochs
from experiments.trials.training import TrialFailed

GPU = torch.device("cuda")


class Card:
    """A GPU of 16 GiB of which other processes hold 1 and a process of ours half a GiB for itself."""

    def __init__(self):
        self.reserved = 0
        self.released = 0

    def empty_cache(self):
        self.released += 1

    def mem_get_info(self, device=None):
        return 16 * GIB - GIB - GIB // 2 - self.reserved, 16 * GIB


@pytest.fixture
def card(monkeypatch):
    made = Card()
    monkeypatch.setattr(torch.cuda, "mem_get_info", made.mem_get_info)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.cuda, "empty_cache", made.empty_cache)
    # A second process takes half a GiB of its own too.
    monkeypatch.setattr(
        "experiments.compute.gpu_memory._free_in_another_process", lambda: [made.mem_get_info()[0] - GIB // 2]
    )
    return made


@pytest.mark.parametrize("trial", [0.1, 0.5, 1.0, 2.0, 5.0])
@pytest.mark.parametrize("images", [0.0, 1.5])
@pytest.mark.parametrize("gpus", [1, 3])
def test_as_many_as_fit_and_no_more(trial, images, gpus):
    held = {"small": Held(0, 1), "large": Held(int(images * GIB), int(trial * GIB))}
    space = Room(15 * GIB, GIB // 2)
    fitted = fitting(Resources(64, 1, 1 / 8), held, set(), space, gpus)
    on_one = math.floor(1 / fitted.gpus + 1e-9)
    need = 0.5 + images + MARGIN * trial
    assert fitted.workers == on_one * gpus
    assert on_one * need <= 15
    assert on_one == 8 or (on_one + 1) * need > 15


def test_cpus_and_settings_still_say_how_many_at_most():
    held, space = {"small": Held(0, GIB // 8)}, Room(15 * GIB, GIB // 2)
    fitted = fitting(Resources(3, 1, 1 / 3), held, set(), space, 1)
    assert (fitted.workers, fitted.gpus) == (3, pytest.approx(1 / 3))
    assert fitting(Resources(3, 1, 1 / 3), held, set(), space, 2).gpus == pytest.approx(1 / 2)


def test_fewer_are_stacked_where_all_do_not_fit():
    held, space = {"stackable": Held(0, 4 * GIB), "other": Held(0, 4 * GIB)}, Room(15 * GIB, GIB // 2)
    fitted = fitting(Resources(8, 1, 1 / 8, stack=8), held, {"stackable"}, space, 1)
    assert fitted.stack == 3
    assert 0.5 + MARGIN * 3 * 4 <= 15 < 0.5 + MARGIN * 4 * 4
    assert fitted.workers == 1


def test_one_that_does_not_fit_is_refused_by_name():
    held, space = {"small": Held(0, GIB), "huge": Held(0, 20 * GIB)}, Room(15 * GIB, GIB // 2)
    with pytest.raises(UserError, match=r"a trial of huge needs 23.50 GiB of a GPU, of which 15.00 GiB are free"):
        fitting(Resources(8, 1, 1 / 8), held, set(), space, 1)


def test_what_a_process_holds_for_itself_is_asked_of_a_second_one(card):
    measured_room = room(GPU, grown=GIB // 4)
    assert measured_room == Room(free=int(14.5 * GIB), process=3 * GIB // 4)


def measured(card, monkeypatch, peaks):
    """Costs on the CPU whose meter reads the peak of the system that was begun last."""
    current = SimpleNamespace(system="")

    def prepare(trial, *args, made=Costs.__init__.__globals__["prepare"]):
        current.system = trial.system
        if peaks[trial.system] is None:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return made(trial, *args)

    monkeypatch.setattr("experiments.sweep.cost.prepare", prepare)
    monkeypatch.setattr(Meter, "peak", property(lambda meter: int(peaks[current.system] * GIB)))
    layout, config = Layout(), load(Path("params.yaml"))
    wanted = trials(config, layout)
    costs = Costs(wanted, layout.trial_store, layout, torch.device("cpu"), budget=1e-9, each_proportion=False)
    return wanted, costs


def share(wanted, costs, notes=None, **compute):
    live = SimpleNamespace(note=(notes if notes is not None else []).append)
    return share_gpus(Compute(**compute), Resources(8, 1, 1 / 8), costs, wanted, live)


def test_the_share_is_that_of_the_largest_system_asked_for(world, card, monkeypatch):
    world.params(default={"systems": ["toy", "toy-bounded"], "proportions": [0.05]})
    wanted, costs = measured(card, monkeypatch, {"toy": 0.1, "toy-bounded": 4.0})
    shared = share(wanted, costs)
    assert shared.workers == 2  # 14.5 GiB over 0.5 + 1.15 · 4
    assert shared.gpus == pytest.approx(1 / 2)
    assert share([trial for trial in wanted if trial.system == "toy"], costs).workers == 8


def test_a_share_that_was_asked_for_stays(world, card, monkeypatch):
    wanted, costs = measured(card, monkeypatch, {"toy": 100.0})
    assert share(wanted, costs, gpus_per_trial=0.125).workers == 8


def test_a_step_that_runs_out_of_memory_is_refused_by_name(world, card, monkeypatch):
    wanted, costs = measured(card, monkeypatch, {"toy": None})
    with pytest.raises(UserError, match=r"a trial of toy needs more of a GPU, of which 14.50 GiB are free: make"):
        share(wanted, costs)


def test_a_cluster_is_not_measured_and_that_is_said(world, card, monkeypatch):
    wanted, costs = measured(card, monkeypatch, {"toy": 100.0})
    monkeypatch.setattr(ray, "is_initialized", lambda: True)
    notes = []
    assert share(wanted, costs, notes).workers == 8
    assert "compute.gpus_per_trial" in notes[0]


def test_what_a_failed_trial_held_is_gone_before_the_next_one(world, cpu, card, monkeypatch):
    class Tensors:
        pass

    held = []

    def step(*args):
        mine = Tensors()
        held.append(weakref.ref(mine))
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    trial = trials(load(Path("params.yaml")), Layout())[0]
    folder = Layout().trial_store.folder(trial.identity)
    monkeypatch.setattr("experiments.trials.training.mean_scalars", step)
    with pytest.raises(TrialFailed, match=r"out of memory .*2\.00 GiB"):
        list(epochs(trial, Layout(), folder, cpu))
    seen = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: seen.append(held[0]()))
    release_memory(GPU)
    assert seen == [None]
    assert "batches smaller" in folder.failure()["reason"]
