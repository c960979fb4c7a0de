"""BSVM (ours): the variational autoencoder with a Bayesian support vector machine on the code."""

from __future__ import annotations

from pydantic import Field

from experiments.learning.contract import Task, register
from experiments.learning.stacking import VariationalSystem
from experiments.learning.variational import VariationalLearner, VariationalSettings
from vae.labels import BayesianSVM


@register
class Bsvm(VariationalSystem):
    """Eq (18) with the pseudo-likelihood of eqs (14)–(15)."""

    name = "bsvm"
    version = 2

    class Settings(VariationalSettings):
        """The model's settings and the support vector machine's own."""

        gamma: float = Field(gt=0, description="γ of eq (15)")

    def learner(self, task: Task, settings: Settings) -> VariationalLearner:
        """A learner at epoch 0."""
        return VariationalLearner(
            task,
            settings,
            lambda size: BayesianSVM(size, task.classes, settings.precision, settings.gamma),
        )
