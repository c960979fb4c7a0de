"""The bottom layer's switches integrated out; upper layers as in NVIL."""

from __future__ import annotations

from typing import ClassVar

from vae.estimators.contract import register
from vae.estimators.nvil import Nvil
from vae.pooling import Switches, SwitchPosterior


@register
class Exact(Nvil):
    """Takes E over the bottom switches in closed form: the image is linear in each of them and its noise is
    Gaussian, so the decoder needs their probabilities alone (see `vae.decoder.Reconstruction`).

    It needs the factorised reading: under the shared one the code depends on the switches too, and the
    reconstruction is no longer linear in them.
    """

    name: ClassVar[str] = "exact"
    readings: ClassVar[frozenset[str]] = frozenset({"factorised"})
    first_drawn: ClassVar[int] = 1

    def switches(self, posterior: SwitchPosterior, layer: int) -> Switches:
        """The probabilities at the bottom layer; one draw per block above it."""
        if layer < self.first_drawn:
            return Switches(posterior.probabilities, drawn=False)
        return super().switches(posterior, layer)
