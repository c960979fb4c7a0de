"""The estimator with leave-one-out baselines from several draws.

Kool, van Hoof & Welling (2019), "Buy 4 REINFORCE samples, get a baseline for free!".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from torch import Tensor

from vae.architecture import Architecture
from vae.estimators.contract import IMAGES, NO_COSTS, Estimator, register
from vae.pooling import Switches, SwitchPosterior, draw_switches


@register
class Rloo(Estimator):
    """The score-function gradient whose baseline is the mean signal of the image's other draws. It is unbiased.

    The draws of an image share the code's noise (`Encoding.sample`). The baseline then removes all variation of the
    signal but that of the draw itself; given the noise it is independent of the draw, so the gradient stays unbiased.

    Args:
        draws: how often all switches of an image are drawn. The baseline's own noise raises the variance by
            1/(draws − 1), a third with four draws. Each draw is another pass through the decoder, and under the shared
            reading through the encoder too.

    Raises:
        ValueError: fewer than two draws.
    """

    name: ClassVar[str] = "rloo"

    def __init__(self, architecture: Architecture, sources: Sequence[str] = (IMAGES,), draws: int = 4) -> None:
        super().__init__(architecture, sources)
        if draws < 2:
            raise ValueError(f"draws = {draws}: leaving one out takes two or more")
        self.draws = draws

    def switches(self, posterior: SwitchPosterior, layer: int) -> Switches:
        """Returns one draw per block."""
        return draw_switches(posterior)

    def surrogate(
        self,
        source: str,
        images: Tensor,
        switches: Mapping[int, Switches],
        signals: Mapping[int, Tensor],
        costs: Mapping[int, Tensor] = NO_COSTS,
    ) -> Tensor:
        """Returns the mean over draws of (signal − mean of the other draws' signals) · log q(z|X)."""
        total = images.new_zeros(())
        for layer, drawn in switches.items():
            if drawn.log_probability is not None:
                signal = signals[layer].view(self.draws, -1)
                # signal − (sum − signal) / (draws − 1)
                centred = (signal - signal.mean(0)) * (self.draws / (self.draws - 1))
                total = total + (centred.flatten() * drawn.log_probability).mean()
        return total
