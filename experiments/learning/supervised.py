"""Training on the labelled images alone, which `alexnet`, `googlenet`, `pseudo` and `cnn-rnn` share.

Networks train with AdamW (Loshchilov & Hutter 2019), at a learning rate that warms up linearly and then falls along a
cosine, on augmented images. Inputs and initial weights are scaled on the labelled images. Classifiers minimise the
cross-entropy.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar, Generic, TypeVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from data.seeds import seed_of
from experiments.learning.arithmetic import Arithmetic
from experiments.learning.augmentation import Augmentation
from experiments.learning.contract import Learner, Task
from experiments.learning.length import Length
from experiments.learning.memory import check_memory, size_of
from experiments.learning.randomness import seeded

SAMPLE = 128  # labelled images, at most, on which inputs and initial weights are scaled


class SupervisedSettings(Augmentation, Arithmetic, Length):
    """Section `supervised` of params.yaml."""

    batch: int = Field(ge=2, le=65_536, description="images in a step")
    learning_rate: float = Field(gt=0, le=1, description="highest learning rate of AdamW")
    weight_decay: float = Field(ge=0, le=10, description="AdamW's decay of weights; biases and scales have none")
    warmup: float = Field(ge=0, lt=1, description="share of all steps in which the learning rate rises")


SupervisedSettingsT = TypeVar("SupervisedSettingsT", bound=SupervisedSettings)


def scaled(channels: int, width: float) -> int:
    """Returns a published number of channels times `width`, rounded to a multiple of 8, at least 8.

    Vector units work in eights.
    """
    return max(8, 8 * round(channels * width / 8))


class Standardise(nn.Module):
    """Shifts and scales images [b, N_c, H, W] to mean 0 and standard deviation 1 in each channel, as on a sample."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, sample: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", sample.mean((0, 2, 3), keepdim=True))
        # The deviation is at least one grey level, for channels that never vary.
        self.register_buffer("deviation", sample.std((0, 2, 3), keepdim=True).clamp(min=1 / 255))

    def forward(self, images: Tensor) -> Tensor:
        return (images - self.mean) / self.deviation


@torch.no_grad()
def initialise(model: nn.Module, sample: Tensor, last: float) -> None:
    """Draws He's weights (He et al. 2015, eq. 10), sets biases to zero, and scales each layer on a sample of images.

    After that, each layer's outputs on the sample have standard deviation 1 (LSUV, Mishkin & Matas 2016), and those of
    the last layer `last`. He's rule alone does not consider max-pooling: on digits, AlexNet's values would grow
    sixfold.
    """
    ran: list[nn.Conv2d | nn.Linear] = []

    def scale(layer: nn.Conv2d | nn.Linear, _inputs: tuple[Tensor, ...], outputs: Tensor) -> Tensor:
        deviation = outputs.std().clamp(min=1e-6)
        layer.weight /= deviation
        ran.append(layer)
        return outputs / deviation  # the scaled layer's outputs, so that one run scales all layers

    hooks = []
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
            hooks.append(layer.register_forward_hook(scale))
    model.eval()(sample)
    for hook in hooks:
        hook.remove()
    ran[-1].weight *= last


class SupervisedLearner(Learner, Generic[SupervisedSettingsT]):
    """Trains a network on a task's labelled images, and on no other image or label.

    Args:
        task: what is learned from.
        settings: how the network trains.
        build: makes the network, images [b, N_c, H, W] to outputs [b, D]; its initial weights are drawn here.

    Attributes:
        last_deviation: standard deviation of the network's first outputs; where these are scores of classes, a small
            one makes all classes about equally likely at first.
    """

    last_deviation: ClassVar[float] = 0.1

    def __init__(self, task: Task, settings: SupervisedSettingsT, build: Callable[[], nn.Module]) -> None:
        self.task, self.settings = task, settings
        self.epochs, self.steps_per_epoch = settings.schedule(len(task.labelled), settings.batch)
        self.images_per_step = settings.batch
        with torch.device("meta"):
            self.least_memory = check_memory(task.device, *size_of(build(), task.store.shape), settings.batch)
        with seeded(seed_of("weights", **task.axes), torch.device("cpu")):
            rows = np.linspace(0, len(task.labelled) - 1, min(SAMPLE, len(task.labelled))).astype(np.int64)
            sample = task.store.batch(task.labelled[rows])
            model = nn.Sequential(Standardise(sample), build())
            initialise(model, sample, self.last_deviation)
        # Convolutions compute in the layout "channels last", so nothing is reordered between layers.
        self.model: nn.Module = model.to(task.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # PyTorch's stubs leave it out
        parameters = list(self.model.parameters())
        weights = {"params": [p for p in parameters if p.ndim > 1], "weight_decay": settings.weight_decay}
        others = {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0}
        self.optimizer = torch.optim.AdamW([weights, others], lr=settings.learning_rate, fused=True)

    def learning_rate(self, step: int) -> float:
        """Returns the learning rate of a step, counted from 0 over all epochs; it is never 0."""
        total = self.epochs * self.steps_per_epoch
        rising = int(self.settings.warmup * total)
        if step < rising:
            return self.settings.learning_rate * (step + 1) / (rising + 1)
        return self.settings.learning_rate * (1 + math.cos(math.pi * (step - rising) / (total - rising))) / 2

    def epoch(self, epoch: int) -> Iterator[Mapping[str, float | Tensor]]:
        """Trains for one epoch; yields `loss`, `images` and `learning_rate` of each step."""
        stream = torch.Generator().manual_seed(seed_of("epoch", **self.task.axes, epoch=epoch))
        batch, count = self.settings.batch, len(self.task.labelled)
        drawn = self.steps_per_epoch * batch
        # Whole passes one after another: the numbers of times that two images are drawn differ by one at most.
        passes = [torch.randperm(count, generator=stream) for _ in range(math.ceil(drawn / count))]
        rows = torch.cat(passes)[:drawn]
        seeds = torch.randint(2**62, (self.steps_per_epoch,), generator=stream).tolist()
        steps = zip(rows.split(batch), seeds, strict=True)
        for step, (chosen, seed) in enumerate(steps, start=epoch * self.steps_per_epoch):
            rate = self.learning_rate(step)
            part = self.task.ranks.part(chosen)
            # Seeded within a step, never across a yield: the caller keeps its own random stream.
            with seeded(self.task.ranks.seed(seed), self.task.device):
                loss = self._step(part, rate, len(part) / len(chosen))
            yield {"loss": loss, "images": float(len(part)), "learning_rate": rate}

    def _step(self, chosen: Tensor, rate: float, share: float) -> Tensor:
        """Takes a step on the chosen rows of the labelled images, a share of a batch; returns their loss."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        self.model.train()
        loss = self._loss(chosen)
        self.optimizer.zero_grad()
        loss.backward()
        self.task.ranks.average(self.model, share)
        self.optimizer.step()
        return loss.detach()

    def _loss(self, chosen: Tensor) -> Tensor:
        """Returns the loss of a step on the chosen rows of the labelled images."""
        raise TypeError(f"{type(self).__name__} does not define _loss()")

    def _outputs(self, images: Tensor) -> Tensor:
        """Returns the network's outputs [b, D]."""
        with self.settings.autocast(self.task.device):
            outputs = self.model(images.contiguous(memory_format=torch.channels_last))
        return outputs.to(images.dtype)

    def state(self) -> dict[str, Any]:
        # A copy: PyTorch's own dictionaries share their memory with the weights, which training goes on to change.
        return copy.deepcopy({"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()})

    def restore(self, state: Mapping[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))


class ClassifierLearner(SupervisedLearner[SupervisedSettingsT]):
    """Trains a network on a task's labelled images to tell the classes apart; its outputs [b, C] are their scores."""

    def __init__(self, task: Task, settings: SupervisedSettingsT, build: Callable[[], nn.Module]) -> None:
        super().__init__(task, settings, build)
        self.labels = torch.from_numpy(task.store.labels[task.labelled]).to(task.device)

    def _loss(self, chosen: Tensor) -> Tensor:
        images = self.task.store.batch(self.task.labelled[chosen.numpy()], self.task.device)
        labels = self.labels[chosen.to(self.task.device)]
        return F.cross_entropy(self._outputs(self.settings.augmented(images)), labels)

    @torch.no_grad()
    def log_probabilities(self, images: Tensor) -> Tensor:
        """Returns log p(y | X) [b, C]."""
        self.model.eval()
        return self._outputs(images).log_softmax(1)
