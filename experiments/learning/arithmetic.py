"""The precision in which networks compute their large products: float32 or bfloat16."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import torch
from pydantic import BaseModel, Field

ROUNDED = {"float32": None, "bfloat16": torch.bfloat16}


class Arithmetic(BaseModel):
    """The precision setting, which every system has. Weights, updates, the bound and all losses are always float32."""

    arithmetic: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the factors of the networks' large products"
    )

    @property
    def factors(self) -> torch.dtype | None:
        """The type that the factors of a large product are rounded to; None for no rounding."""
        return ROUNDED[self.arithmetic]

    def autocast(self, device: torch.device) -> AbstractContextManager[None]:
        """Returns a context in which PyTorch's own layers compute in this precision."""
        return torch.autocast(device.type, self.factors, enabled=self.factors is not None)
