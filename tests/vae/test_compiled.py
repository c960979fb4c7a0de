"""The compiled kernels against the same functions written in PyTorch, in double precision."""

import pytest
import torch

from vae.blocks import overlap_add, windows_of
from vae.decoder import _ExpectedUnpooling
from vae.kernels import compiled
from vae.pooling import SwitchNetwork

pytestmark = pytest.mark.skipif(compiled.library() is None, reason="this machine has no C compiler")

TRIALS = 2
BATCHES = [1, 16, 37]  # fewer columns than the kernels' vectors have lanes, as many, and a remainder


@pytest.fixture
def calls(monkeypatch):
    """Counts the calls of kernels, so that a test that compares PyTorch with itself fails."""
    made = []
    compute = compiled.compute

    def counted(kernel, *arguments):
        made.append(kernel)
        compute(kernel, *arguments)

    for module in ("pooling", "decoder", "blocks"):
        monkeypatch.setattr(f"vae.{module}.compute", counted)
    return made


def assert_same_with_gradients(function, inputs, tolerance=2e-5):
    """Asserts that results and gradients in single precision, by kernels, are those in double precision."""
    found = []
    for dtype in (torch.float32, torch.float64):
        own = [each.to(dtype).requires_grad_() for each in inputs]
        results = function(*own)
        torch.manual_seed(1)
        loss = sum((result * torch.randn(result.shape).to(dtype)).sum() for result in results)
        found.append([each.detach() for each in (*results, *torch.autograd.grad(loss, own))])
    for single, double in zip(*found, strict=True):
        torch.testing.assert_close(single.double(), double, rtol=tolerance, atol=tolerance * float(double.abs().max()))


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("conv", [6, 5], ids=["whole blocks", "short blocks"])
@pytest.mark.parametrize("scale", [1.0, 30.0], ids=["soft", "almost hard"])
def test_stochastic_pooling(batch, conv, scale, calls):
    torch.manual_seed(0)
    network = SwitchNetwork(conv, pooling=3, count=2, hidden=5)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.7)
    names = [name for name, _ in network.named_parameters()]
    blocks, *weights = (
        torch.randn(TRIALS, 9, 4, 4, batch),
        *(torch.stack([scale * parameter.detach(), parameter.detach().flip(0)]) for parameter in network.parameters()),
    )

    def pooled(blocks, *weights):
        def alone(blocks, weights):
            posterior = torch.func.functional_call(network, weights, (blocks,))
            return posterior.expected, posterior.probabilities, posterior.kl

        return torch.vmap(alone)(blocks, dict(zip(names, weights, strict=True)))

    assert_same_with_gradients(pooled, [blocks, *weights])
    assert calls == ["pool", "pool_backward"]


def test_gradients_that_do_not_come_are_zero(calls):
    """The label term asks for the pooled values alone."""
    torch.manual_seed(0)
    network = SwitchNetwork(5, pooling=3, count=2, hidden=5)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter)
    weights = dict(network.named_parameters())

    def pooled(blocks, *values):
        own = dict(zip(weights, values, strict=True))
        return (torch.func.functional_call(network, own, (blocks,)).expected,)

    assert_same_with_gradients(pooled, [torch.randn(9, 4, 4, 7), *(each.detach() for each in weights.values())])
    assert calls == ["pool", "pool_backward"]


@pytest.mark.parametrize("batch", BATCHES)
def test_expected_unpooling(batch, calls):
    torch.manual_seed(0)
    eta = torch.rand(TRIALS, 9, 4, 3, batch).softmax(1)
    inputs = [eta, torch.randn(TRIALS, 4, 3, batch), torch.randn(TRIALS, 4, 9, 6)]
    assert_same_with_gradients(_ExpectedUnpooling.apply, inputs)
    assert calls == ["unpool", "unpool_backward"]


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize(("side", "kernel", "pooling", "count"), [(28, 8, 3, 7), (10, 4, 3, 3), (7, 6, 1, 2)])
def test_overlapping_windows(side, kernel, pooling, count, batch, calls):
    torch.manual_seed(0)
    window = (pooling + kernel - 1) ** 2
    windows = torch.randn(2 * window, count * count * batch)
    assert_same_with_gradients(lambda each: (overlap_add(each, kernel, pooling, count, side),), [windows])
    maps = torch.randn(2, side, side, batch)
    assert_same_with_gradients(lambda each: (windows_of(each, kernel, pooling, count),), [maps])
    assert calls == ["overlap_add", "overlap_add"]


def test_digits_do_not_depend_on_the_number_of_threads():
    torch.manual_seed(0)
    network = SwitchNetwork(6, pooling=3, count=2, hidden=5)
    blocks = torch.randn(9, 7, 4, 37)
    before, found = torch.get_num_threads(), []
    for threads in (1, 3):
        torch.set_num_threads(threads)
        posterior = network(blocks)
        gradient = torch.autograd.grad(posterior.kl.sum() + posterior.expected.sum(), list(network.parameters()))
        found.append((posterior.probabilities, posterior.kl, *gradient))
    torch.set_num_threads(before)
    for one, other in zip(*found, strict=True):
        assert torch.equal(one, other)


def test_what_is_no_number_stays_none():
    blocks = torch.randn(4, 2, 4, 3)
    blocks[0, 1, 2, 0] = torch.nan
    posterior = SwitchNetwork(4, pooling=2, count=2, hidden=3)(blocks)
    assert posterior.expected.isnan().nonzero().tolist() == [[1, 2, 0]]
    assert posterior.kl.isnan().tolist() == [True, False, False]


def test_without_a_compiler_pytorch_computes(monkeypatch, calls):
    monkeypatch.setattr("shutil.which", lambda name: None)
    compiled.library.cache_clear()
    try:
        assert compiled.library() is None
        SwitchNetwork(4, pooling=2, count=2, hidden=3)(torch.randn(4, 2, 4, 3)).kl.sum().backward()
    finally:
        compiled.library.cache_clear()
    assert not calls


def test_a_compiler_that_fails_is_none(monkeypatch):
    monkeypatch.setattr(compiled, "OPTIONS", (*compiled.OPTIONS, "--no-such-option"))
    compiled.library.cache_clear()
    try:
        assert compiled.library() is None
    finally:
        compiled.library.cache_clear()
