"""Label models p(y | s), which classify the code s of an image: the Bayesian SVM, eqs (14)–(24), and softmax."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class LabelModel(nn.Module, ABC):
    """A linear score βᵀs + b per class, and the likelihood of a label given the scores.

    Args:
        code_size: values in a code.
        classes: C.
        precision: precision of the Gaussian prior of β.
    """

    def __init__(self, code_size: int, classes: int, precision: float) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.zeros(classes, code_size))
        self.intercept = nn.Parameter(torch.zeros(classes, 1))
        self.precision = precision

    def scores(self, code: Tensor) -> Tensor:
        """Returns βᵀs + b, [C, B], of codes [K_L, m, B]."""
        return torch.addmm(self.intercept, self.beta, code.flatten(0, 1))

    def log_prior(self) -> Tensor:
        """Returns log p(β) up to a constant."""
        return -0.5 * self.precision * self.beta.square().sum()

    @abstractmethod
    def log_likelihoods(self, code: Tensor) -> Tensor:
        """Returns log p(y | s) for every class, [C, B], of codes [K_L, m, B]."""

    def log_likelihood(self, code: Tensor, labels: Tensor) -> Tensor:
        """Returns log p(y | s), [B], of codes [K_L, m, B] and labels [B]."""
        return self.log_likelihoods(code).gather(0, labels[None])[0]

    def log_probabilities(self, code: Tensor) -> Tensor:
        """Returns log p(y | s), normalised over the classes, [C, B], of codes [K_L, m, B]."""
        return self.log_likelihoods(code).log_softmax(0)

    def probabilities(self, code: Tensor) -> Tensor:
        """Returns p(y | s), normalised over the classes, [C, B], of codes [K_L, m, B]."""
        return self.log_probabilities(code).exp()


class Softmax(LabelModel):
    """The categorical likelihood: probabilities are the softmax of the scores."""

    def log_likelihoods(self, code: Tensor) -> Tensor:
        """Returns the log-softmax over the classes."""
        return self.scores(code).log_softmax(0)


class BayesianSVM(LabelModel):
    """The one-versus-all pseudo-likelihood of eq (14): Π_c exp(−2γ max(1 − y_c u_c, 0)).

    u_c is the score of class c; y_c is 1 for the label's class and −1 for the others.

    The paper trains with an auxiliary variable λ. Integrating λ out of eq (15) gives exactly this hinge, and eq (22)
    with E[λ⁻¹] of eq (24) at the current β and s has the gradient of the hinge. So the model is trained on the hinge,
    which has no singularity at y u = 1.

    Args:
        gamma: γ of eq (15), the same for all classes.
    """

    def __init__(self, code_size: int, classes: int, precision: float, gamma: float) -> None:
        super().__init__(code_size, classes, precision)
        self.gamma = gamma

    def log_likelihoods(self, code: Tensor) -> Tensor:
        """Returns −2γ Σ_c max(1 − y_c u_c, 0) with each class in turn as the label.

        It is 0 where the label's score is at least 1 and all others are at most −1.
        """
        scores = self.scores(code)
        below = (1 + scores).relu()
        return -2 * self.gamma * (below.sum(0) + (1 - scores).relu() - below)

    def log_probabilities(self, code: Tensor) -> Tensor:
        """Leaves out the sum that all classes share: beside it, in single precision, close scores would be equal."""
        scores = self.scores(code)
        return (-2 * self.gamma * ((1 - scores).relu() - (1 + scores).relu())).log_softmax(0)
