"""Products of rounded factors: close to those of whole ones, and nothing else is rounded."""

import pytest
import torch

from experiments.learning import contract
from tests.experiments.learning.test_ranks import SUPERVISED, VARIATIONAL, settings
from tests.experiments.learning.test_variational import task_of
from vae.blocks import product
from vae.model import Batch

CASES = {
    "bsvm": {**VARIATIONAL, "updates": 1, "epochs": 4},
    "softmax": {**VARIATIONAL, "updates": 1, "epochs": 4},
    "m2": {**VARIATIONAL, "updates": 1, "epochs": 4},
    "alexnet": {**SUPERVISED, "updates": 40, "epochs": 8},
    "googlenet": {**SUPERVISED, "updates": 40, "epochs": 8},
}


def learner(name, arithmetic):
    return contract.SYSTEMS.get(name).learner(task_of(), settings(name, {**CASES[name], "arithmetic": arithmetic}))


def losses(name, arithmetic):
    made = learner(name, arithmetic)
    found = [[float(step["loss"]) for step in made.epoch(epoch)] for epoch in range(made.epochs)]
    assert all(parameter.dtype == torch.float32 for parameter in made.model.parameters())
    return found


@pytest.mark.parametrize("name", CASES)
def test_a_rounded_step_is_close_and_training_goes_down(name):
    whole, rounded = losses(name, "float32"), losses(name, "bfloat16")
    assert rounded[0][0] == pytest.approx(whole[0][0], rel=0.01)
    assert rounded != whole
    assert sum(rounded[-1]) < 0.9 * sum(rounded[0])


def test_a_bound_is_added_up_in_single_precision():
    made = learner("bsvm", "bfloat16")
    images = made.task.store.batch(made.task.train)
    bound = made.model.bound(images)
    assert {bound.elbo.dtype, bound.kl_code.dtype, bound.kl_switches.dtype} == {torch.float32}
    loss, parts = made.model.loss(Batch(images))
    assert {loss.dtype, *(part.dtype for part in parts.values())} == {torch.float32}
    # A sum over 784 values that was itself rounded to eight bits would be a multiple of a large power of two.
    assert len({value % 1 for value in bound.elbo.tolist()}) > len(images) // 2


def test_scores_and_losses_of_networks_are_single_precision():
    made = learner("alexnet", "bfloat16")
    images = made.task.store.batch(made.task.validation)
    probabilities = made.log_probabilities(images).exp()
    assert probabilities.dtype == torch.float32
    torch.testing.assert_close(probabilities.sum(1), torch.ones(len(images)))
    assert next(made.epoch(0))["loss"].dtype == torch.float32


def test_a_product_rounds_its_factors_alone():
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.randn(64, 64, generator=generator, requires_grad=True) for _ in range(2))
    assert torch.equal(product(left, right, None), left @ right)
    found = product(left, right, torch.bfloat16)
    found.sum().backward()
    assert found.dtype == left.grad.dtype == right.grad.dtype == torch.float32
    torch.testing.assert_close(found, left @ right, rtol=0, atol=0.15)  # 64 products, each off by up to 2⁻⁸ of itself
