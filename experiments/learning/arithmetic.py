"""In how many digits networks compute."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import torch
from pydantic import BaseModel, Field

ROUNDED = {"float32": None, "bfloat16": torch.bfloat16}


class Arithmetic(BaseModel):
    """The setting of it that every system has. Weights, their updates, the bound and every loss are float32 anyway."""

    arithmetic: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the factors of the networks' large products"
    )

    @property
    def factors(self) -> torch.dtype | None:
        """What the factors of a large product are rounded to, if to anything."""
        return ROUNDED[self.arithmetic]

    def autocast(self, device: torch.device) -> AbstractContextManager[None]:
        """Within it PyTorch's own layers compute so."""
        return torch.autocast(device.type, self.factors, enabled=self.factors is not None)
