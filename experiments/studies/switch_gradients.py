"""Bias and variance of a learner's gradient with respect to its switch networks, and what a step of it costs."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from data.seeds import seed_of
from experiments.learning.device import now
from experiments.learning.randomness import seeded
from experiments.learning.variational import VariationalLearner
from vae.estimators.nvil import Nvil
from vae.model import Batch, Labelled


@dataclass(frozen=True)
class Gradients:
    """Independent gradients of one step: their mean [P], the trace of their covariance, and how many they are."""

    mean: Tensor
    variance: float
    count: int

    def distance(self, reference: Gradients) -> tuple[float, float, float]:
        """In units of ‖reference mean‖: the distance of the means, its root mean square if only noise held them
        apart, and the variance (in the unit's square)."""
        norm = reference.mean.norm().item()
        noise = self.variance / self.count + reference.variance / reference.count
        distance = (self.mean - reference.mean).norm().item()
        return distance / norm, noise**0.5 / norm, self.variance / norm**2


def _labelled(learner: VariationalLearner, indices: np.ndarray) -> Labelled:
    """Those images, not moved, with their labels."""
    task = learner.task
    labels = torch.from_numpy(task.store.labels[indices]).to(task.device)
    return Labelled(task.store.batch(indices, task.device), labels, len(task.labelled), learner.label_weight)


def fixed_batch(learner: VariationalLearner) -> tuple[Tensor, Labelled]:
    """Images and labelled images of one training step, always the same for a task."""
    task, settings = learner.task, learner.settings
    rng = np.random.default_rng(seed_of("batch", **task.axes))
    images = task.store.batch(rng.permutation(task.train)[: settings.batch], task.device)
    return images, _labelled(learner, rng.choice(task.labelled, settings.labelled_batch))


def learn_baselines(learner: VariationalLearner) -> None:
    """One pass over the training images for the estimator's own parameters and running statistics, where it has any:
    they know the model as it is, which is the best that they can do."""
    parameters, task = list(learner.model.estimator.parameters()), learner.task
    if not parameters:
        return
    optimizer = torch.optim.Adam(parameters, learner.settings.learning_rate)
    rng = np.random.default_rng(seed_of("baselines", **task.axes))
    learner.model.train()
    for indices in np.array_split(rng.permutation(task.train), learner.steps_per_epoch):
        labelled = _labelled(learner, rng.choice(task.labelled, learner.settings.labelled_batch))
        optimizer.zero_grad(set_to_none=True)
        learner.model.loss(Batch(task.store.batch(indices, task.device), labelled))[0].backward(inputs=parameters)
        optimizer.step()


def undo_scale(learner: VariationalLearner) -> None:
    """NVIL divides each signal by max(1, running σ), which makes its gradient another one's; at σ = 0 it does not."""
    if isinstance(learner.model.estimator, Nvil):
        for control in learner.model.estimator.controls.values():
            control.variance.zero_()


def sample_gradients(learner: VariationalLearner, count: int, stream: str) -> Gradients:
    """Of the objective on one fixed batch, with respect to the switch networks.

    Under the factorised reading the label term is left out: no switch that an estimator draws has a part in it.

    Args:
        count: how many, 2 or more.
        stream: names the random stream that they come from.
    """
    model = learner.model.eval()  # NVIL's running statistics stay, as if the batch were met for the first time
    parameters = list(model.encoder.switch_networks.parameters())
    images, labelled = fixed_batch(learner)
    found = []
    with seeded(seed_of(stream, **learner.task.axes), learner.task.device):
        for _ in range(count):
            loss, _ = model.loss(Batch(images, labelled if model.reading == "shared" else None))
            found.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)]).double().cpu())
    stacked = torch.stack(found)
    return Gradients(stacked.mean(0), stacked.var(0).sum().item(), count)


def step_milliseconds(learners: Mapping[str, VariationalLearner], rounds: int) -> dict[str, float]:
    """The median time of a whole training step by name, the learners taking theirs in turn. Trains them."""
    seconds: dict[str, list[float]] = {name: [] for name in learners}
    batches = {name: fixed_batch(learner) for name, learner in learners.items()}
    for _ in range(rounds + 1):
        for name, learner in learners.items():
            images, labelled = batches[name]
            started = now(learner.task.device)
            learner.trainer.step(Batch(images, labelled))
            seconds[name].append(now(learner.task.device) - started)
    return {name: 1000 * statistics.median(times[1:]) for name, times in seconds.items()}  # the first one allocates
