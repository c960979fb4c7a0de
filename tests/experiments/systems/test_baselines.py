"""The published structures of AlexNet and GoogLeNet, against numbers that others counted."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from experiments.systems.alexnet import AlexNet
from experiments.systems.googlenet import GoogLeNet, Inception

PUBLISHED = (3, 224, 224)
SHAPES = [(1, 28, 28), (3, 32, 32), (3, 64, 64), (3, 100, 140), (3, 127, 127), (3, 128, 128), (3, 256, 256)]


def parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())


def outputs(network: nn.Module, kind: type[nn.Module], shape: tuple[int, int, int]) -> list[tuple[int, ...]]:
    """Shapes, but for the batch, that all modules of a kind return, in the order in which they run."""
    seen = []
    hooks = [
        module.register_forward_hook(lambda _module, _inputs, result: seen.append(tuple(result.shape[1:])))
        for module in network.modules()
        if isinstance(module, kind)
    ]
    with torch.inference_mode():
        network.eval()(torch.rand(1, *shape))
    for hook in hooks:
        hook.remove()
    return seen


def test_alexnet_is_the_published_one_at_224_pixels():
    network = AlexNet(PUBLISHED, 1000, width=1, dropout=0.5)
    convolutions = outputs(network, nn.Conv2d, PUBLISHED)
    assert convolutions == [(64, 55, 55), (192, 27, 27), (384, 13, 13), (256, 13, 13), (256, 13, 13)]
    # The number of the one-column AlexNet in torchvision's model list.
    assert parameters(network) == 61_100_840


def test_googlenet_is_the_published_one_at_224_pixels():
    network = GoogLeNet(PUBLISHED, 1000, width=1, dropout=0.4)
    # Output sizes of table 1 of the paper, inception (3a) to (5b).
    assert outputs(network, Inception, PUBLISHED) == [
        (256, 28, 28),
        (480, 28, 28),
        (512, 14, 14),
        (512, 14, 14),
        (512, 14, 14),
        (528, 14, 14),
        (832, 14, 14),
        (832, 7, 7),
        (1024, 7, 7),
    ]
    # BVLC's GoogLeNet without its auxiliary classifiers; it has a bias, and no scale, a convolution's channel.
    scales = sum(module.weight.numel() for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    assert parameters(network) - scales == 6_998_552


def test_an_inception_module_is_its_four_branches_side_by_side():
    torch.manual_seed(0)
    module = Inception(5, (8, 3, 16, 2, 4, 7)).eval()
    maps = torch.randn(2, 5, 6, 6)
    weight = module.pointwise[0].weight
    scale = 1 / (1 + module.pointwise[1].eps) ** 0.5  # a fresh batch normalisation in evaluation mode

    def pointwise(rows: slice, images: torch.Tensor) -> torch.Tensor:
        return (torch.einsum("oi,bihw->bohw", weight[rows, :, 0, 0], images) * scale).relu()

    with torch.no_grad():
        branches = [
            pointwise(slice(0, 8), maps),
            module.three(pointwise(slice(8, 11), maps)),
            module.five(pointwise(slice(11, 13), maps)),
            module.pooled(maps),
        ]
        torch.testing.assert_close(module(maps), torch.cat(branches, 1))
    assert module.outputs == 8 + 16 + 4 + 7


@pytest.mark.parametrize("network", [AlexNet, GoogLeNet])
@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: "×".join(map(str, shape)))
def test_every_image_size_gives_scores_and_gradients_everywhere(network, shape):
    torch.manual_seed(0)
    model = network(shape, 7, width=0.125, dropout=0.0)
    scores = model(torch.rand(4, *shape))
    assert scores.shape == (4, 7)
    scores.square().sum().backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
    assert all(parameter.grad.abs().sum() > 0 for parameter in model.parameters() if parameter.ndim > 1)
