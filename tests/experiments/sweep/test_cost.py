"""What a plan says trials cost."""

from pathlib import Path

import pytest

from experiments.settings.config import load
from experiments.sweep.cost import Costs
from experiments.sweep.run import longest_first
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout
from experiments.trials.grid import trials
from experiments.trials.run import epochs


@pytest.fixture
def asked(world, cpu):
    """Costs of toys whose steps are made to last, and the trials they are asked about."""

    def ask(each_proportion=True):
        world.params(default={"proportions": [0.05, 0.5, 0.1], "repetitions": 2}, toys={"epochs": 3})
        wanted, store = trials(load(Path("params.yaml")), Layout()), TrialStore(Layout().store)
        costs = Costs(wanted, store, Layout(), cpu, budget=0.02, each_proportion=each_proportion)
        return costs, wanted, store

    return ask


@pytest.mark.parametrize("each_proportion", [True, False])
def test_more_steps_cost_more_and_the_longest_goes_first(asked, monkeypatch, each_proportion):
    costs, wanted, _ = asked(each_proportion)
    ticks = iter(range(10**9))
    monkeypatch.setattr("experiments.sweep.cost.now", lambda device: float(next(ticks)))
    order = [next(t for t in wanted if t.identity == name).proportion for name in longest_first(wanted, costs)]
    assert order == [0.5, 0.5, 0.1, 0.1, 0.05, 0.05]


def test_an_estimate_is_steps_times_what_a_step_takes(asked, monkeypatch):
    costs, wanted, _ = asked()
    ticks = iter(range(10**9))
    monkeypatch.setattr("experiments.sweep.cost.now", lambda device: float(next(ticks)))
    half = next(trial for trial in wanted if trial.proportion == 0.5)
    steps = -(-half.labelled // 32)
    assert costs.seconds(half) == 3 * (steps * 1.0 + 1.0)  # each step and the look take one tick
    assert not costs.is_measured(half)


def test_what_was_run_is_measured(asked, cpu):
    _, wanted, store = asked()
    first = wanted[0]
    list(epochs(first, Layout(), store.folder(first.identity), cpu))
    costs, wanted, _ = asked()
    assert costs.seconds(first) == store.folder(first.identity).result()["seconds"]
    assert [costs.is_measured(trial) for trial in wanted] == [True, True, False, False, False, False]


def test_a_system_that_breaks_is_left_to_its_trial(asked, monkeypatch):
    costs, wanted, _ = asked()
    monkeypatch.setattr("experiments.sweep.cost.prepare", lambda *args: 1 / 0)
    assert set(longest_first(wanted, costs).values()) == {0.0}
