"""The paper's model and its relatives as systems: what they share, and how their trials are stacked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from experiments.learning.contract import Stack, System
from experiments.learning.recipes import gathered_together
from experiments.learning.variational import VariationalLearner, VariationalSettings
from vae.architecture import architecture_for, architecture_named
from vae.estimators.contract import estimator_named
from vae.stacked import StackedTrainer


class VariationalStack(Stack):
    """Learners whose models train as one (see `vae.stacked`)."""

    def __init__(self, learners: Sequence[VariationalLearner]) -> None:
        self.learners = learners
        self.trainer = StackedTrainer([learner.trainer for learner in learners])

    def epoch(self, epoch: int) -> Iterator[Mapping[str, float | Tensor]]:
        """One pass of every learner over the training images, each in its own order."""
        first = self.learners[0]
        orders = zip(*(learner.order(epoch) for learner in self.learners), strict=True)
        for step, chosen in enumerate(orders):
            streams = [learner.step_stream(epoch, step) for learner in self.learners]
            recipes = [
                learner.recipe(*indices, stream, self.trainer)
                for learner, indices, stream in zip(self.learners, chosen, streams, strict=True)
            ]
            batches = gathered_together(recipes, first.task, first.settings)
            parts = self.trainer.step_together(batches, [stream.device for stream in streams])
            yield {**parts, "images": len(chosen[0][0])}

    def settle(self) -> None:
        """Gives each learner its weights, optimiser and schedule."""
        for learner, state in zip(self.learners, self.trainer.states(), strict=True):
            learner.restore(state)


class VariationalSystem(System):
    """A system whose learner is a `VariationalLearner`."""

    shares: ClassVar[tuple[str, ...]] = ("vae",)
    uses_xi: ClassVar[bool] = True
    spreads: ClassVar[bool] = True

    def stacks(self, dataset: str, xi: float | str | None, settings: VariationalSettings) -> bool:
        """Where labels take part (ξ = 0 is another program), all take as many epochs, and the estimator keeps nothing
        but weights."""
        try:
            architecture = architecture_named(settings.architecture or architecture_for(dataset).name)
        except KeyError:  # the trial itself will say so
            return False
        estimator = estimator_named(settings.estimator)
        return xi != 0 and settings.patience is None and not estimator.keeps_statistics(architecture.pooling_layers)

    def stack(self, learners: Sequence[VariationalLearner]) -> VariationalStack:
        """The learners as one."""
        return VariationalStack(learners)
