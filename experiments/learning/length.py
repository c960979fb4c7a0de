"""How long a system trains, by one rule for all of them: optimisation steps, cut into epochs."""

from __future__ import annotations

import math

from pydantic import BaseModel, Field

SHORTEST = 50  # steps in an epoch of a training by `updates`: a pass over a few images is too short to validate after


class Length(BaseModel):
    """The settings of a training's length."""

    updates: int = Field(ge=1, le=100_000_000, description="steps of the optimiser, at least")
    epochs: int = Field(ge=1, le=100_000, description="passes over the images that are learned from, at least")

    def schedule(self, images: int, batch: int) -> tuple[int, int]:
        """Returns the number of epochs, and of steps in each, for so many images in batches.

        An epoch is the stretch of a training after which it is validated and may leave a checkpoint. It is a pass over
        the images. Where so many passes are fewer steps than `updates`, epochs are about a pass each, or `SHORTEST`
        steps where a pass is shorter. All epochs are equally long.
        """
        a_pass = math.ceil(images / batch)
        if self.epochs * a_pass >= self.updates:
            return self.epochs, a_pass
        epochs = max(self.epochs, round(self.updates / max(a_pass, SHORTEST)))
        return epochs, math.ceil(self.updates / epochs)
