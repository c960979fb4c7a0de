"""Label models p(y | s) on the code: the Bayesian SVM, eqs (14)–(24), and softmax."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional


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
    def log_likelihood(self, code: Tensor, labels: Tensor) -> Tensor:
        """log p(y | s), [B], of codes [K_L, m, B] and labels [B]."""

    @abstractmethod
    def probabilities(self, code: Tensor) -> Tensor:
        """p(y | s) over the classes, [C, B]."""


class Softmax(LabelModel):
    """Categorical likelihood of softmax scores."""

    def log_likelihood(self, code: Tensor, labels: Tensor) -> Tensor:
        """log softmax at the label."""
        return -functional.cross_entropy(self.scores(code).T, labels, reduction="none")

    def probabilities(self, code: Tensor) -> Tensor:
        """softmax over the classes."""
        return self.scores(code).softmax(0)


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

    def log_likelihood(self, code: Tensor, labels: Tensor) -> Tensor:
        """−2γ Σ_c max(1 − y_c u_c, 0)."""
        scores = self.scores(code)
        signs = functional.one_hot(labels, scores.shape[0]).T * 2 - 1
        return -2 * self.gamma * (1 - signs * scores).relu().sum(0)

    def probabilities(self, code: Tensor) -> Tensor:
        """The classes' pseudo-likelihoods, normalised: only the class's own factor differs from that of a
        label that is none of them."""
        scores = self.scores(code)
        return (-2 * self.gamma * ((1 - scores).relu() - (1 + scores).relu())).softmax(0)
