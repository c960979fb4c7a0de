"""Toy systems: a linear softmax classifier that trains in milliseconds, and variants that fail on purpose.

Worker processes import this file by name: its folder has to be on PYTHONPATH.
"""

from __future__ import annotations

import copy
import os
import signal
import time
from pathlib import Path

import numpy as np
import torch
from pydantic import BaseModel, ConfigDict, Field
from torch.nn import functional as F

from data.seeds import seed_of
from experiments.learning.contract import Learner, Stack, System, register
from experiments.trial_store import lease as leases
from experiments.trial_store import objects

BATCH = 32
DAY = 86400.0

if clock := os.environ.get("TOY_CLOCK"):  # a file; while it exists, the clock is a day ahead
    _time = time.time
    time.time = lambda: _time() + DAY * os.path.exists(clock)

if beat := os.environ.get("TOY_BEAT"):  # seconds between two signs of life of a sweep that holds a store on S3
    leases.BEAT, objects.PAUSES = float(beat), (0.05, 0.1, 0.2, 0.4, 0.8)


class ToySettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    epochs: int = Field(3, ge=1)
    dampening: float | None = Field(None, ge=0, lt=1)
    learning_rate: float = Field(0.05, gt=0)
    momentum: float = Field(0.9, ge=0, lt=1)
    busy: float = Field(0.0, ge=0, description="seconds of work an epoch")


def work(seconds):
    deadline = time.perf_counter() + seconds
    while time.perf_counter() < deadline:
        torch.zeros(64, 64) @ torch.zeros(64, 64)


class ToyLearner(Learner):
    def __init__(self, task, settings):
        self.task, self.settings = task, settings
        self.epochs = settings.epochs
        self.steps_per_epoch = -(-len(task.labelled) // BATCH)
        self.xi_value = None if task.xi is None else 7.0 if task.xi == "auto" else task.xi
        self.model = torch.nn.Linear(int(np.prod(task.store.shape)), task.classes)
        generator = torch.Generator().manual_seed(seed_of("weights", **task.axes))
        with torch.no_grad():
            self.model.weight.copy_(0.01 * torch.randn(self.model.weight.shape, generator=generator))
            self.model.bias.zero_()
        self.images_per_step = BATCH
        self.optimizer = torch.optim.SGD(
            self.model.parameters(), settings.learning_rate, settings.momentum, settings.dampening or 0.0
        )

    def epoch(self, epoch):
        rng = np.random.default_rng(seed_of("epoch", **self.task.axes, epoch=epoch))
        order = rng.permutation(self.task.labelled)
        for step in range(self.steps_per_epoch):
            chosen = order[step * BATCH : (step + 1) * BATCH]
            images = self.task.store.batch(chosen).flatten(1)
            noise = torch.from_numpy(rng.normal(0, 0.1, tuple(images.shape)).astype(np.float32))
            loss = F.cross_entropy(self.model(images + noise), torch.from_numpy(self.task.store.labels[chosen]))
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            yield {"loss": self.loss(loss.detach(), epoch), "images": len(chosen)}
        work(self.settings.busy)

    def loss(self, loss, epoch):
        return loss

    @torch.no_grad()
    def log_probabilities(self, images):
        return self.model(images.flatten(1)).log_softmax(1)

    def state(self):
        return copy.deepcopy({"model": self.model.state_dict(), "optimizer": self.optimizer.state_dict()})

    def restore(self, state):
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(copy.deepcopy(state["optimizer"]))


@register
class Toy(System):
    name = "toy"
    version = 1
    shares = ("toys",)
    uses_xi = False
    Settings = ToySettings

    def learner(self, task, settings):
        return ToyLearner(task, settings)


class BoundedLearner(ToyLearner):
    """Has a bound and pictures, as the variational systems do."""

    @torch.no_grad()
    def bound(self, images):
        return {"elbo": -images.flatten(1).sum(1), "kl_switches": images.flatten(1).mean(1)}

    def pictures(self, images):
        return {"reconstructions": images[0].permute(1, 2, 0), "samples": images[1].permute(1, 2, 0)}


@register
class Bounded(Toy):
    name = "toy-bounded"
    uses_xi = True

    def learner(self, task, settings):
        return BoundedLearner(task, settings)


class NanLearner(ToyLearner):
    def loss(self, loss, epoch):
        return loss * float("nan") if epoch == 1 else loss


@register
class Nan(Toy):
    """Its loss is not a number in epoch 1 of repetition 0."""

    name = "toy-nan"

    def learner(self, task, settings):
        return (NanLearner if task.seed == 0 else ToyLearner)(task, settings)


class DyingLearner(ToyLearner):
    def loss(self, loss, epoch):
        if epoch == 1:
            os._exit(3)
        return loss


@register
class Dying(Toy):
    """Its process dies in epoch 1 of repetition 0, every time."""

    name = "toy-dying"

    def learner(self, task, settings):
        return (DyingLearner if task.seed == 0 else ToyLearner)(task, settings)


class OnceDyingSettings(ToySettings):
    grave: str = Field(description="file that is there once the process has died")


class OnceDyingLearner(ToyLearner):
    def loss(self, loss, epoch):
        grave = Path(self.settings.grave)
        if epoch == 1 and not grave.exists():
            grave.touch()
            os._exit(3)
        return loss


@register
class OnceDying(Toy):
    """Its process dies in epoch 1, the first time."""

    name = "toy-once-dying"
    Settings = OnceDyingSettings

    def learner(self, task, settings):
        return OnceDyingLearner(task, settings)


class KilledLearner(ToyLearner):
    def loss(self, loss, epoch):
        if epoch == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return loss


@register
class Killed(Toy):
    """Its process is killed in epoch 1 of repetition 0, every time, as the system does when memory is short."""

    name = "toy-killed"

    def learner(self, task, settings):
        return (KilledLearner if task.seed == 0 else ToyLearner)(task, settings)


class GreedyLearner(ToyLearner):
    def loss(self, loss, epoch):
        return loss + torch.zeros(2**60).sum() if epoch == 1 else loss


@register
class Greedy(Toy):
    """It asks for more memory than there is in epoch 1 of repetition 0."""

    name = "toy-greedy"

    def learner(self, task, settings):
        return (GreedyLearner if task.seed == 0 else ToyLearner)(task, settings)


class HoardingSettings(ToySettings):
    gibibytes: float = Field(description="memory that it takes")


class HoardingLearner(ToyLearner):
    def loss(self, loss, epoch):
        if epoch == 1 and self.task.seed < 2 and self.settings.gibibytes:
            self.hoard = [torch.ones(2**26) for _ in range(int(4 * self.settings.gibibytes))]
            time.sleep(60)
        return loss


@register
class Hoarding(Toy):
    """It takes memory in epoch 1 of repetitions 0 and 1, and waits for what becomes of it."""

    name = "toy-hoarding"
    Settings = HoardingSettings

    def learner(self, task, settings):
        return HoardingLearner(task, settings)


class HangingLearner(ToyLearner):
    def loss(self, loss, epoch):
        while epoch == 1:
            time.sleep(1)
        return loss


@register
class Hanging(Toy):
    """It never comes to the end of epoch 1 of repetition 0."""

    name = "toy-hanging"

    def learner(self, task, settings):
        return (HangingLearner if task.seed == 0 else ToyLearner)(task, settings)


class ToyStack(Stack):
    def __init__(self, learners):
        self.learners = learners

    def epoch(self, epoch):
        for rows in zip(*(learner.epoch(epoch) for learner in self.learners), strict=True):
            yield {"loss": torch.stack([row["loss"] for row in rows]), "images": rows[0]["images"]}

    def settle(self):
        pass  # the learners themselves have been trained


@register
class Stacked(Nan):
    """As `toy-nan`, and its trials are stacked."""

    name = "toy-stacked"

    def stacks(self, dataset, xi, settings):
        return True

    def stack(self, learners):
        return ToyStack(learners)


@register
class NanSpread(Nan):
    """The same for a trial of several devices, each of which does the whole work of a toy."""

    name = "toy-nan-spread"
    spreads = True
