"""Takes steps on a device that is not the CPU and has shapes alone, as a process of its own.

An operation that mixes tensors of that device with tensors of the CPU is an error there, and so is one that hands a
number to Python, for which a GPU would have to be waited for, and which no CUDA graph can capture.
"""

import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from benchmarks.autoencoders import labelled_batch, trainer
from vae.model import Batch
from vae.stacked import StackedTrainer
from vae.training import Trainer

ROWS, TRIALS = ("mnist", "cifar-10", "imagenet"), 3


def moved(trainer, device):
    """A trainer of the same model with weights of the same shapes on the device."""
    for module in trainer.model.modules():
        for name, weight in module.named_parameters(recurse=False):
            module._parameters[name] = nn.Parameter(torch.empty_like(weight, device=device))
        for name, buffer in module.named_buffers(recurse=False):
            module._buffers[name] = torch.empty_like(buffer, device=device)
    return Trainer(trainer.model, **trainer.options)


def main():
    _setup_privateuseone_for_python_backend("other")
    cpu, other = torch.device("cpu"), torch.device("other", 0)
    single = {(row, factors): trainer(cpu, row, factors) for row in ROWS for factors in (None, torch.bfloat16)}
    several = [trainer(cpu) for _ in range(TRIALS)]
    with FakeTensorMode(allow_non_fake_inputs=True):
        for (row, _), each in single.items():
            architecture = each.model.architecture
            images = torch.rand(4, architecture.channels, architecture.side, architecture.side, device=other)
            parts = moved(each, other).step(Batch(images))
            assert {part.device for part in parts.values()} == {other}, row
        stack = StackedTrainer([moved(each, other) for each in several])
        parts = stack.step_together(labelled_batch(other, TRIALS), [torch.Generator() for _ in range(TRIALS)])
        assert {(part.device, part.shape) for part in parts.values()} == {(other, (TRIALS,))}
    print(f"{len(single)} models and a stack of {TRIALS}")


if __name__ == "__main__":
    main()
