"""The GPU benchmark's checks notice a device that computes something else, and a checkpoint that lacks something."""

import pytest
import torch

from benchmarks.gpu import agreement, resuming, throughput
from benchmarks.gpu.agreement import CPU, Stepper, compared
from experiments.learning.supervised import SupervisedLearner
from experiments.learning.variational import VariationalLearner

SYSTEMS = ["softmax", "alexnet"]


@pytest.fixture(autouse=True)
def few_steps(monkeypatch):
    monkeypatch.setattr(agreement, "STEPS", {"cpu": 2})


@pytest.mark.parametrize("precision", agreement.PRECISIONS)
@pytest.mark.parametrize("system", SYSTEMS)
def test_the_same_device_agrees(system, precision):
    found = compared(CPU, precision, system, row="mnist")
    assert found["holds"]
    assert found["loss"] == found["gradient"] == found["weights"] == 0
    assert (found["CPU's own error"] > 0) == (precision != "float64")


@pytest.mark.parametrize(("precision", "factor"), [("float64", 1 + 1e-5), ("float32", 1.1), ("bfloat16", 3.0)])
@pytest.mark.parametrize("system", SYSTEMS)
def test_a_device_that_computes_something_else_does_not(monkeypatch, system, precision, factor):
    class Wrong(Stepper):
        """Every second one that is made, which is the device's, multiplies its gradients by a factor."""

        made = 0

        def __init__(self, *how, **settings):
            super().__init__(*how, **settings)
            Wrong.made += 1
            if Wrong.made == 2:
                for parameter in self.learner.model.parameters():
                    parameter.register_hook(lambda gradient: gradient * factor)

    monkeypatch.setattr(agreement, "Stepper", Wrong)
    assert not compared(CPU, precision, system, row="mnist")["holds"]


def test_a_stack_leads_where_its_trials_lead_and_one_with_other_noise_does_not(monkeypatch):
    assert throughput.stack_distance(CPU, 2)["holds"]
    streams = throughput.streams
    monkeypatch.setattr(throughput, "streams", lambda *how: streams(*how)[::-1])
    assert not throughput.stack_distance(CPU, 2)["holds"]


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_checkpoint_without_the_state_of_the_optimiser_does_not_give_the_digits(monkeypatch, system):
    for kind in (VariationalLearner, SupervisedLearner):
        monkeypatch.setattr(kind, "restore", lambda self, state: self.model.load_state_dict(state["model"]))
    found = resuming.resumed(CPU, system)
    assert found["differ when repeated"] == 0
    assert found["differ when resumed"] > 0
    assert not found["holds"]


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_device_that_does_not_repeat_its_digits_is_told_from_a_checkpoint_that_does_not_hold(monkeypatch, system):
    rates = iter([1.0, 1.0001] + [1.0] * 9)
    trained = resuming.trained

    def once_off(subject, epoch):
        """Trains; the second learner that begins has weights of its own."""
        if epoch == 0:
            with torch.no_grad():
                next(subject.model.parameters()).mul_(next(rates))
        return trained(subject, epoch)

    monkeypatch.setattr(resuming, "trained", once_off)
    found = resuming.resumed(CPU, system)
    assert found["differ when repeated"] > 0
    assert found["differ when resumed"] == 0
    assert not found["holds"]
