"""BSVM (ours): the variational autoencoder with a Bayesian support vector machine on the code."""

from __future__ import annotations

from pydantic import Field

from experiments.learning.contract import Task, register
from experiments.learning.variational import VariationalLearner, VariationalSettings
from experiments.learning.variational_system import VariationalSystem
from vae.labels import BayesianSVM


class BsvmSettings(VariationalSettings):
    """Section `vae` of params.yaml and the system's own."""

    gamma: float = Field(gt=0, le=1e6, description="γ of eq (15)")


@register
class BsvmSystem(VariationalSystem[BsvmSettings]):
    """Eq (18) with the pseudo-likelihood of eqs (14)–(15)."""

    name = "bsvm"
    version = 4
    Settings = BsvmSettings

    def learner(self, task: Task, settings: BsvmSettings) -> VariationalLearner[BsvmSettings]:
        """Returns a learner at epoch 0."""
        return VariationalLearner(
            task,
            settings,
            lambda size: BayesianSVM(size, task.classes, settings.precision, settings.gamma),
        )
