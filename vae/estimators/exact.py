"""The estimator that integrates the bottom layer's switches out; upper layers are estimated as by NVIL."""

from __future__ import annotations

from typing import ClassVar

from vae.estimators.contract import register
from vae.estimators.nvil import Nvil
from vae.pooling import Switches, SwitchPosterior


@register
class Exact(Nvil):
    """Takes the expectation over the bottom switches in closed form.

    The reconstruction is linear in each bottom switch and the pixel noise is Gaussian, so the decoder needs only
    their probabilities (see `vae.decoder.Reconstruction`). This holds under the factorised reading alone: under the
    shared one the code depends on the switches too, and the reconstruction is no longer linear in them.
    """

    name: ClassVar[str] = "exact"
    readings: ClassVar[frozenset[str]] = frozenset({"factorised"})
    first_drawn: ClassVar[int] = 1

    def switches(self, posterior: SwitchPosterior, layer: int) -> Switches:
        """Returns the probabilities at the bottom layer, and one draw per block above it."""
        if layer < self.first_drawn:
            return Switches(posterior.probabilities, drawn=False)
        return super().switches(posterior, layer)
