"""Random numbers for comparing devices: the same in every precision and layout, and as dropout draws them anywhere."""

import pytest
import torch
from torch.nn import functional

from benchmarks.gpu.agreement import default_type, distance
from benchmarks.gpu.host_random import HostRandom


@pytest.mark.parametrize("fill", ["normal_", "uniform_", "exponential_"])
def test_filling_gives_the_cpus_numbers_in_every_type_and_layout(fill):
    torch.manual_seed(0)
    expected = getattr(torch.empty(40, 30), fill)()
    for empty in (
        torch.empty(40, 30, dtype=torch.float64),
        torch.empty(30, 40).T,
        torch.empty(40, 60)[:, ::2],
    ):
        torch.manual_seed(0)
        with HostRandom():
            assert torch.equal(getattr(empty, fill)().float(), expected)


def test_making_gives_the_numbers_of_single_precision_in_the_type_that_was_asked_for():
    torch.manual_seed(0)
    expected = torch.rand(50), torch.randn(50)
    torch.manual_seed(0)
    with default_type(torch.float64), HostRandom():
        found = torch.rand(50), torch.randn(50)
    assert all(each.dtype == torch.float64 for each in found)
    assert all(torch.equal(one.float(), other) for one, other in zip(found, expected, strict=True))


def test_a_given_generator_keeps_its_own_numbers():
    expected = torch.randperm(9, generator=torch.Generator().manual_seed(3))
    with HostRandom():
        assert torch.equal(torch.randperm(9, generator=torch.Generator().manual_seed(3)), expected)


def test_a_gpus_dropout_drops_what_a_cpus_does():
    values = torch.arange(1.0, 401).reshape(20, 20)
    with HostRandom():
        torch.manual_seed(0)
        expected = functional.dropout(values, 0.3)  # draws a mask and multiplies by it
        torch.manual_seed(0)
        found, kept = torch.native_dropout(values, 0.3, True)  # what a GPU does in one operation
    torch.testing.assert_close(found, expected)
    assert torch.equal(kept, expected > 0)
    assert 0.2 < 1 - kept.float().mean() < 0.4


def test_the_distance_is_that_of_the_tensor_that_is_farthest():
    reference = [torch.tensor([3.0, 4.0]), torch.tensor([1.0]), torch.tensor([0.0])]
    # Off by a tenth of its norm, by a half, and, where all is zero, by 1e-3 of the norm √26 of all together.
    assert distance([torch.tensor([3.0, 4.5]), *reference[1:]], reference) == pytest.approx(0.1)
    assert distance([reference[0], torch.tensor([1.5]), reference[2]], reference) == pytest.approx(0.5)
    assert distance([*reference[:2], torch.tensor([26**0.5 / 1000])], reference) == pytest.approx(1.0)
