"""Leave-one-out baselines from several draws (Kool, van Hoof & Welling 2019)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from vae.estimators.contract import Estimator, register
from vae.pooling import Switches, SwitchPosterior, draw_switches


@register
class Rloo(Estimator):
    """Score-function gradient, each draw's signal less the mean signal of the image's other draws; unbiased.

    An image's draws share the code's noise (`Encoding.sample`): the baseline then knows all of a signal's variation
    but that of the draw itself, and is independent of the draw given the noise, so it stays unbiased.

    Args:
        draws: of all switches, for each image. The baseline's own noise adds 1/(draws − 1) to the variance, and each
            draw is another pass through the decoder (shared reading: and the encoder): at four it adds a third.
    """

    name: ClassVar[str] = "rloo"

    def __init__(self, values: int, layers: Sequence[int], draws: int = 4) -> None:
        super().__init__(values, layers)
        if draws < 2:
            raise ValueError(f"draws = {draws}: leaving one out takes two or more")
        self.draws = draws

    def switches(self, posterior: SwitchPosterior, layer: int) -> Switches:
        """One draw per block."""
        return draw_switches(posterior)

    def surrogate(
        self, source: str, images: Tensor, switches: Mapping[int, Switches], signals: Mapping[int, Tensor]
    ) -> Tensor:
        """mean over draws of (signal − mean of the other draws' signals) · log q(z|X)."""
        total = images.new_zeros(())
        for layer, drawn in switches.items():
            signal = signals[layer].view(self.draws, -1)
            # signal − (sum − signal) / (K − 1)
            centred = (signal - signal.mean(0)) * (self.draws / (self.draws - 1))
            total = total + (centred.flatten() * drawn.log_probability).mean()
        return total
