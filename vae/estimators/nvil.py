"""Neural variational inference and learning (NVIL): the paper's estimator, its reference [5].

Mnih & Gregor (2014), "Neural variational inference and learning in belief networks".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from vae.estimators.contract import SOURCES, Estimator, register
from vae.pooling import Switches, SwitchPosterior, draw_switches

_DECAY = 0.8  # of the running mean and variance, as in the reference
_UNITS = 100  # tanh units of the input-dependent baseline, as in the reference


class _SignalControl(nn.Module):
    """Centres and scales one learning signal by a running mean, an input-dependent baseline and a running deviation."""

    mean_image: Tensor
    mean: Tensor
    variance: Tensor
    started: Tensor

    def __init__(self, values: int) -> None:
        super().__init__()
        hidden, output = nn.Linear(values, _UNITS), nn.Linear(_UNITS, 1)  # their order is that of the random draws
        self.baseline = nn.Sequential(hidden, nn.Tanh(), output)
        nn.init.zeros_(output.weight)
        nn.init.zeros_(output.bias)
        self.register_buffer("mean_image", torch.zeros(values))
        self.register_buffer("mean", torch.zeros(()))
        self.register_buffer("variance", torch.zeros(()))
        self.register_buffer("started", torch.zeros((), dtype=torch.bool))

    def forward(self, images: Tensor, signal: Tensor) -> tuple[Tensor, Tensor]:
        """Returns the centred and scaled signal, [B], without gradient, and the baseline's own loss.

        Centre and scale come from earlier batches only. They are therefore independent of this batch's draws, and the
        estimate stays unbiased up to the scale. The first batch only starts the statistics: its signal is zero.
        """
        flat = images.flatten(1)
        started = bool(self.started)
        decay = _DECAY if started else 0.0
        prediction = self.baseline(flat - self.mean_image).squeeze(1)
        centred = signal - self.mean - prediction
        scaled = centred.detach() / self.variance.sqrt().clamp(min=1.0) * started
        loss = centred.square().mean() * started
        if self.training:
            with torch.no_grad():
                error = signal - prediction
                self.mean_image.lerp_(flat.mean(0), 1 - decay)
                self.mean.lerp_(error.mean(), 1 - decay)
                self.variance.lerp_(error.var(correction=0), 1 - decay)
                self.started.fill_(True)
        return scaled, loss


@register
class Nvil(Estimator):
    """The score-function gradient with both baselines and variance normalisation.

    It is unbiased up to a scale: each layer's signal is divided by max(1, running σ).
    """

    name: ClassVar[str] = "nvil"
    first_drawn: ClassVar[int] = 0  # the lowest layer whose switches are drawn

    def __init__(self, values: int, layers: Sequence[int]) -> None:
        super().__init__(values, layers)
        drawn = self._drawn(layers)
        self.controls = nn.ModuleDict(
            {f"{source}-{layer}": _SignalControl(values) for source in SOURCES for layer in drawn}
        )

    @classmethod
    def _drawn(cls, layers: Sequence[int]) -> list[int]:
        return [layer for layer in layers if layer >= cls.first_drawn]

    @classmethod
    def keeps_statistics(cls, layers: Sequence[int]) -> bool:
        """Tells whether the switches of any of the layers are drawn."""
        return bool(cls._drawn(layers))

    def switches(self, posterior: SwitchPosterior, layer: int) -> Switches:
        """Returns one draw per block."""
        return draw_switches(posterior)

    def surrogate(
        self, source: str, images: Tensor, switches: Mapping[int, Switches], signals: Mapping[int, Tensor]
    ) -> Tensor:
        """Returns the mean over images of signal · log q(z|X), minus the baselines' squared errors."""
        total = images.new_zeros(())
        for layer, drawn in switches.items():
            if drawn.log_probability is not None:
                signal, baseline_loss = self.controls[f"{source}-{layer}"](images, signals[layer])
                total = total + (signal * drawn.log_probability).mean() - baseline_loss
        return total
