"""What the systems around the paper's model share, and how several of their trials train as one program."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

from torch import Tensor

from experiments.learning.contract import Stack, System
from experiments.learning.recipes import gathered_together
from experiments.learning.variational import VariationalLearner, VariationalSettingsT
from vae.architecture import architecture_for, architecture_named
from vae.estimators.contract import estimator_named
from vae.stacked import StackedTrainer


class VariationalStack(Stack):
    """Learners whose models train as one (see `vae.stacked`)."""

    def __init__(self, learners: Sequence[VariationalLearner[Any]]) -> None:
        self.learners = learners
        self.trainer = StackedTrainer([learner.trainer for learner in learners])

    def epoch(self, epoch: int) -> Iterator[Mapping[str, float | Tensor]]:
        """Trains every learner on one pass over the training images, each in its own order."""
        first = self.learners[0]
        orders = zip(*(learner.order(epoch) for learner in self.learners), strict=True)
        for step, chosen in enumerate(orders):
            streams = [learner.step_stream(epoch, step) for learner in self.learners]
            recipes = [
                learner.recipe(images, labelled, stream, self.trainer)
                for learner, (images, labelled), stream in zip(self.learners, chosen, streams, strict=True)
            ]
            batches = gathered_together(recipes, first.task, first.settings)
            # A step's stream always has its generators: those without draw from PyTorch's global streams.
            generators = [stream.device for stream in streams if stream.device is not None]
            parts = self.trainer.step_together(batches, generators)
            yield {**parts, "images": len(chosen[0][0])}

    def settle(self) -> None:
        """Gives each learner its weights, optimiser and schedule."""
        for learner, state in zip(self.learners, self.trainer.states(), strict=True):
            learner.restore(state)


class VariationalSystem(System[VariationalSettingsT, VariationalLearner[VariationalSettingsT]]):
    """A system whose learner is a `VariationalLearner`."""

    shares: ClassVar[tuple[str, ...]] = ("vae",)
    uses_xi: ClassVar[bool] = True
    spreads: ClassVar[bool] = True

    def version_of(self, dataset: str, settings: VariationalSettingsT) -> int:
        """Returns the system's version, raised by the revision of the estimator for the trial's architecture."""
        try:
            architecture = architecture_named(settings.architecture or architecture_for(dataset).name)
            return self.version + estimator_named(settings.estimator).revision(architecture)
        except KeyError:  # the trial itself reports an unknown name
            return self.version

    def stacks(self, dataset: str, xi: float | str | None, settings: VariationalSettingsT) -> bool:
        """Returns whether trials of these settings run the same program, step by step.

        Two things must hold: labels take part (ξ is not 0), and the estimator keeps nothing but weights.
        """
        return xi != 0 and not estimator_named(settings.estimator).keeps_statistics

    def stack(self, learners: Sequence[VariationalLearner[VariationalSettingsT]]) -> VariationalStack:
        """Returns the learners as one."""
        return VariationalStack(learners)
