"""Bias and variance of a learner's gradient with respect to its switch networks, and the time of a training step."""

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
    """Independent gradients of one step: their mean [P], the trace of their covariance, and their number."""

    mean: Tensor
    variance: float
    count: int

    def distance(self, reference: Gradients) -> tuple[float, float, float]:
        """Returns distance, noise and variance in units of ‖reference mean‖ (the variance in its square).

        The distance is that of the two means; the noise is its root mean square if both had the same expectation.
        """
        norm = reference.mean.norm().item()
        noise = self.variance / self.count + reference.variance / reference.count
        distance = (self.mean - reference.mean).norm().item()
        return distance / norm, noise**0.5 / norm, self.variance / norm**2


def _labelled(learner: VariationalLearner, indices: np.ndarray) -> Labelled:
    """Returns images, without augmentation, with their labels."""
    task = learner.task
    labels = torch.from_numpy(task.store.labels[indices]).to(task.device)
    return Labelled(task.store.batch(indices, task.device), labels, len(task.labelled), learner.label_weight)


def fixed_batch(learner: VariationalLearner) -> tuple[Tensor, Labelled]:
    """Returns images and labelled images of one training step, always the same for a task."""
    task, settings = learner.task, learner.settings
    rng = np.random.default_rng(seed_of("batch", **task.axes))
    images = task.store.batch(rng.permutation(task.train)[: settings.batch], task.device)
    return images, _labelled(learner, rng.choice(task.labelled, settings.labelled_batch))


def learn_baselines(learner: VariationalLearner) -> None:
    """Trains the estimator's own parameters and running statistics, where it has any, for one pass over the images.

    The model's weights stay, so the baselines fit the model as it is, which is the best that they can do.
    """
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


def undo_division(learner: VariationalLearner) -> None:
    """Makes NVIL give the gradient of the objective itself, not one that is divided by the signals' deviation."""
    if isinstance(learner.model.estimator, Nvil):
        learner.model.estimator.divides = False


def sample_gradients(learner: VariationalLearner, count: int, stream: str) -> Gradients:
    """Returns gradients of the objective on the fixed batch with respect to the switch networks.

    Under the factorised reading the label term is left out, since it depends on no switch that an estimator draws.

    Args:
        learner: its model and estimator are used as they are.
        count: number of gradients, 2 or more.
        stream: name of the random stream that they are drawn from.
    """
    model = learner.model.eval()  # NVIL's running statistics stay as they are, as if the batch came first
    parameters = list(model.encoder.switch_networks.parameters())
    images, labelled = fixed_batch(learner)
    gradients = []
    with seeded(seed_of(stream, **learner.task.axes), learner.task.device):
        for _ in range(count):
            loss, _ = model.loss(Batch(images, labelled if model.reading == "shared" else None))
            gradients.append(torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)]).double().cpu())
    stacked = torch.stack(gradients)
    return Gradients(stacked.mean(0), stacked.var(0).sum().item(), count)


def step_milliseconds(learners: Mapping[str, VariationalLearner], rounds: int) -> dict[str, float]:
    """Returns the median milliseconds of a whole training step, by name. The learners take steps in turn."""
    seconds: dict[str, list[float]] = {name: [] for name in learners}
    batches = {name: fixed_batch(learner) for name, learner in learners.items()}
    for _ in range(rounds + 1):
        for name, learner in learners.items():
            images, labelled = batches[name]
            started = now(learner.task.device)
            learner.trainer.step(Batch(images, labelled))
            seconds[name].append(now(learner.task.device) - started)
    return {
        name: 1000 * statistics.median(times[1:]) for name, times in seconds.items()
    }  # the first one allocates memory
