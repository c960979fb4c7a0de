"""Settings that no machine's memory holds are refused with the figure, before a network is made."""

import time
from pathlib import Path

import pytest
import torch

from data.errors import UserError
from experiments.learning import memory
from experiments.learning.memory import check_memory, memory_of, size_of
from experiments.settings.config import load
from experiments.systems.alexnet import AlexNet
from experiments.systems.googlenet import GoogLeNet
from tests.experiments.systems.test_sizes import learner_of

SHIPPED = load(Path(__file__).parents[3] / "params.yaml").settings
GIB = 2**30


@pytest.mark.parametrize(
    ("system", "changes"),
    [
        ("alexnet", {"batch": 65_536}),
        ("googlenet", {"batch": 65_536, "width": 2.0}),
        ("pseudo", {"width": 2.0, "batch": 65_536}),
        ("bsvm", {"labelled_batch": 65_536}),
        ("softmax", {"code_hidden": 4096, "labelled_batch": 65_536}),
    ],
)
def test_a_step_that_is_larger_than_memory_is_refused_with_the_figure(monkeypatch, system, changes):
    monkeypatch.setattr(memory, "memory_of", lambda _: 16 * GIB)
    started = time.process_time()
    with pytest.raises(UserError, match=r"needs [\d,.]+ GiB of memory at least, and this device has 16\.0 GiB"):
        learner_of(SHIPPED, system, 128, 3, "caltech-101", **changes)
    assert time.process_time() - started < 10


def test_the_sizes_are_those_of_the_networks(monkeypatch):
    small = AlexNet((1, 28, 28), 10, 0.25, 0.0)
    seen = []
    monkeypatch.setattr("experiments.learning.supervised.check_memory", lambda _, *sizes: seen.append(sizes))
    learner_of(SHIPPED, "alexnet", 28, 1, None)
    learner_of(SHIPPED, "googlenet", 256, 3, None)
    (weights, values, images), (others, *_) = seen
    with torch.device("meta"):
        assert weights == size_of(AlexNet((1, 28, 28), 2, 0.25, 0.0), (1, 28, 28))[0]
        assert others == sum(p.numel() for p in GoogLeNet((3, 256, 256), 2, 0.25, 0.0).parameters())
    assert images == 8
    first = small.features[0](torch.zeros(1, 1, 28, 28)).numel()
    assert first < values < 40 * first


def test_memory_is_known(monkeypatch, tmp_path):
    cpu = torch.device("cpu")
    assert memory_of(cpu) > GIB
    (tmp_path / "max").write_text("1073741824\n")
    monkeypatch.setattr(memory, "_LIMIT", tmp_path / "max")
    assert memory_of(cpu) == GIB
    check_memory(cpu, 1000, 1000, 1000)
    with pytest.raises(UserError, match="1,000 images with 1,000,000,000,000 weights needs 14,90"):
        check_memory(cpu, 10**12, 1000, 1000)
