"""What speaks against a trial that ended well."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from experiments.learning.contract import Learner
from experiments.trials import doubts


@pytest.mark.parametrize(
    ("right", "labels", "told"),
    [
        (900, [0, 1] * 500, []),
        (
            333,
            [0, 1, 2] * 333,
            ["no better than chance: 33.3 % of the test images are right, and the"],
        ),
        (500, [0] * 480 + [1] * 520, ["no better than chance: 50.0 %"]),
        (560, [0] * 480 + [1] * 520, []),  # p = 0.006 against 52 %
        (25, [0, 1] * 15, ["30 test images tell its accuracy to ±13 points only"]),
        (15, [0, 1] * 15, ["no better than chance", "30 test images tell its accuracy to ±17 points only"]),
        (29, [0, 1] * 15, []),  # 83 to 99 %
    ],
)
def test_an_accuracy_that_says_nothing_is_doubted(right, labels, told):
    found = doubts.about_accuracy(right, np.array(labels))
    assert len(found) == len(told)
    assert all(text.startswith(expected) for text, expected in zip(found, told, strict=True))


class Drawing(Learner):
    def __init__(self, draw):
        self.reconstruct = draw


IMAGES = torch.rand(40, 1, 6, 6, generator=torch.Generator().manual_seed(0))
TASK = SimpleNamespace(
    store=SimpleNamespace(batch=lambda chosen, device: IMAGES[chosen], shape=(1, 6, 6)),
    validation=np.arange(40),
    device=torch.device("cpu"),
)


@pytest.mark.parametrize(
    ("draw", "told"),
    [
        (lambda images: None, ""),
        (lambda images: images, ""),
        (lambda images: 0.5 * images + 0.25, ""),
        (lambda images: torch.full_like(images, 0.5), "they explain -"),  # one blob for every image
        (lambda images: images.flip(0), "they explain -"),
    ],
    ids=["none", "whole", "pale", "blob", "another's"],
)
def test_reconstructions_that_do_not_show_their_image_are_doubted(draw, told):
    found = doubts.about_reconstructions(Drawing(draw), TASK)
    assert len(found) == bool(told)
    assert not told or f"its reconstructions hardly depend on the image: {told}" in found[0]


def test_the_share_that_is_explained():
    """Half-way between the mean image and the image three quarters of the squared distance are gone."""
    middle = (IMAGES + IMAGES.mean(0)) / 2
    assert doubts.explained(IMAGES, middle) == pytest.approx(0.75)
    assert doubts.explained(IMAGES, IMAGES.mean(0).expand_as(IMAGES)) == pytest.approx(0, abs=1e-12)
    assert doubts.explained(torch.ones(3, 1, 2, 2), torch.zeros(3, 1, 2, 2)) == 0.0
