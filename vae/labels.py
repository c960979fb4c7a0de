"""Label models p(y | s) on the code: the Bayesian SVM, eqs (14)–(24), and softmax."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn


class LabelModel(nn.Module, ABC):
    """A linear score βᵀs + b per class, and what it means for the label.

    Args:
        code_size: values in a code.
        classes: C.
        precision: of the Gaussian prior of β.
    """

    def __init__(self, code_size: int, classes: int, precision: float) -> None:
        super().__init__()
        self.beta = nn.Parameter(torch.zeros(classes, code_size))
        self.intercept = nn.Parameter(torch.zeros(classes, 1))
        self.precision = precision

    def scores(self, code: Tensor) -> Tensor:
        """βᵀs + b, [C, B], of codes [K_L, m, B]."""
        return torch.addmm(self.intercept, self.beta, code.flatten(0, 1))

    def log_prior(self) -> Tensor:
        """log p(β) up to a constant."""
        return -0.5 * self.precision * self.beta.square().sum()

    @abstractmethod
    def log_likelihoods(self, code: Tensor) -> Tensor:
        """log p(y | s) of every class, [C, B], of codes [K_L, m, B]."""

    def log_likelihood(self, code: Tensor, labels: Tensor) -> Tensor:
        """log p(y | s), [B], of codes [K_L, m, B] and labels [B]."""
        return self.log_likelihoods(code).gather(0, labels[None])[0]

    def probabilities(self, code: Tensor) -> Tensor:
        """p(y | s), normalised over the classes, [C, B], of codes [K_L, m, B]."""
        return self.log_likelihoods(code).softmax(0)


class Softmax(LabelModel):
    """Categorical likelihood of softmax scores."""

    def log_likelihoods(self, code: Tensor) -> Tensor:
        """log softmax over the classes."""
        return self.scores(code).log_softmax(0)


class BayesianSVM(LabelModel):
    """One-versus-all pseudo-likelihood, eq (14): Π_c exp(−2γ max(1 − y_c u_c, 0)), y_c = 1 for the label's
    class and −1 for the others, u_c the score.

    Eq (15)'s integral over λ is that hinge exactly, and with E[λ⁻¹], eq (24), put into eq (22) at the current
    β and s the gradient is the hinge's; so it is trained in this form, which has no singularity at y u = 1.

    Args:
        gamma: γ of eq (15), one for all classes.
    """

    def __init__(self, code_size: int, classes: int, precision: float, gamma: float) -> None:
        super().__init__(code_size, classes, precision)
        self.gamma = gamma

    def log_likelihoods(self, code: Tensor) -> Tensor:
        """−2γ Σ_c max(1 − y_c u_c, 0) for each class as the label: all scores below −1, but its own above 1."""
        scores = self.scores(code)
        below = (1 + scores).relu()
        return -2 * self.gamma * (below.sum(0) + (1 - scores).relu() - below)
