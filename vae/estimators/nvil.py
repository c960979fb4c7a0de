"""Neural variational inference and learning (NVIL): the paper's estimator, its reference [5].

Mnih & Gregor (2014), "Neural variational inference and learning in belief networks".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from vae.architecture import Architecture
from vae.estimators.contract import IMAGES, NO_COSTS, Estimator, register
from vae.pooling import Switches, SwitchPosterior, draw_switches

_DECAY = 0.8  # of the running mean and variance, as in the reference
_UNITS = 100  # tanh units of the input-dependent baseline, as in the reference
_SIDE = 8  # of the picture that a baseline reads, at most: brightness and layout explain most of log p(X)


class _Baselines(nn.Module):
    """Centres one learning signal by a running mean and an input-dependent baseline.

    The baseline is learned on the signal in units of its running deviation σ. So it learns as fast for signals of
    thousands of nats as for those of one.

    Args:
        channels: N_c, of the images.
        side: of the images; the baseline reads their averages over at most 8 × 8 areas.
    """

    mean_input: Tensor
    mean: Tensor
    variance: Tensor
    started: Tensor

    def __init__(self, channels: int, side: int) -> None:
        super().__init__()
        self.side = min(side, _SIDE)
        values = channels * self.side**2
        hidden, output = nn.Linear(values, _UNITS), nn.Linear(_UNITS, 1)
        self.network = nn.Sequential(hidden, nn.Tanh(), output)
        nn.init.zeros_(output.weight)
        nn.init.zeros_(output.bias)
        self.register_buffer("mean_input", torch.zeros(values))
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("variance", torch.zeros(()))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def forward(self, images: Tensor, signal: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the centred signal, [B], without gradient and in the signal's own units, and the network's loss.

        What is subtracted comes from earlier batches and the images. It is therefore independent of this batch's draws,
        and the estimate stays unbiased. The first batch only starts the statistics: its signal is zero.
        """
        reduced = functional.adaptive_avg_pool2d(images, self.side).flatten(1)
        started = bool(self.started)
        decay = _DECAY if started else 0.0
        deviation = self.variance.sqrt().clamp(min=1.0)
        prediction = self.network(reduced - self.mean_input).squeeze(1)
        residual = (signal - self.mean) / deviation - prediction
        if self.training:
            with torch.no_grad():
                error = signal - deviation * prediction
                self.mean_input.lerp_(reduced.mean(0), 1 - decay)
                self.mean.lerp_(error.mean(), 1 - decay)
                self.variance.lerp_(error.var(correction=0), 1 - decay)
                self.started.fill_(True)
        return residual.detach() * deviation * started, residual.square().mean() * started


@register
class Nvil(Estimator):
    """The score-function gradient with a running and a learned baseline.

    The reference also divides the learning signal by max(1, σ), its running deviation. Its signal holds all that the
    switches influence, log q(z|X) included. Here the switches' KL term has a closed form and a gradient of its own, and
    images and labels have signals of their own. One of them divided by its σ would weigh less against the others: the
    switches would maximise E[log p(X|s,z)]/σ − KL, and ξ would lose its meaning. So what is divided is the whole
    gradient that flows through a layer's probabilities, the KL term's included, by the deviation of all signals
    together. That changes neither its direction nor where it is zero, and Adam undoes the change in length for the
    switch networks. The filters below also learn through the values that they compute, which is not divided. For them
    the probabilities count less by that number, and so does the noise of a score function, which is the use of it.

    Under the factorised reading the encoder pools by the probabilities, so that another gradient, without noise, flows
    through them. There nothing is divided.

    Attributes:
        divides: whether gradients are divided; where a study compares them, they are not.
    """

    name: ClassVar[str] = "nvil"
    keeps_statistics: ClassVar[bool] = True
    divides: bool = True

    def __init__(self, architecture: Architecture, sources: Sequence[str] = (IMAGES,)) -> None:
        super().__init__(architecture, sources)
        self.sources = tuple(sources)
        self.baselines = nn.ModuleDict(
            {
                f"{source}-{layer}": _Baselines(architecture.channels, architecture.side)
                for source in sources
                for layer in architecture.pooling_layers
            }
        )
        self._divisors: dict[int, Tensor] = {}  # by layer, of the present step

    @classmethod
    def revision(cls, architecture: Architecture) -> int:
        """Returns 1: an earlier one divided the signals alone."""
        return 1

    def switches(self, posterior: SwitchPosterior, layer: int) -> Switches:
        """Returns one draw per block."""
        return draw_switches(posterior)

    def divisor(self, layer: int) -> Tensor:
        """Returns max(1, σ), with σ² the sum of the running variances of the layer's signals."""
        variances = [self.baselines[f"{source}-{layer}"].get_buffer("variance") for source in self.sources]
        return torch.stack(variances).sum().sqrt().clamp(min=1.0)

    def surrogate(
        self,
        source: str,
        images: Tensor,
        switches: Mapping[int, Switches],
        signals: Mapping[int, Tensor],
        costs: Mapping[int, Tensor] = NO_COSTS,
    ) -> Tensor:
        """Returns the mean over images of signal · log q(z|X), minus the baselines' squared errors.

        Where gradients are divided, so are these products. What the objective has too much of the KL terms, which it
        holds undivided, is added.
        """
        if source == IMAGES:  # the first of a step: the same divisors hold for all of it
            self._divisors = {layer: self.divisor(layer) for layer in costs} if self.divides else {}
        total = images.new_zeros(())
        for layer, drawn in switches.items():
            if drawn.log_probability is not None:
                divisor = self._divisors.get(layer, 1.0)
                signal, baseline_loss = self.baselines[f"{source}-{layer}"](images, signals[layer])
                total = total + (signal * drawn.log_probability).mean() / divisor - baseline_loss
                if layer in costs:
                    total = total + costs[layer].mean() * (1 - 1 / divisor)
        return total
