"""Random numbers that are the same on every device and in every precision, so that two devices can be compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten
_FILLING = {_aten.normal_, _aten.uniform_, _aten.exponential_, _aten.bernoulli_}
_MAKING = {_aten.rand, _aten.randn}


class HostRandom(TorchDispatchMode):
    """Draws all numbers of PyTorch's global streams on the CPU, in float32 and in the order of a contiguous tensor.

    A GPU has a generator of its own, whose numbers differ from the CPU's; and a CPU draws other numbers in float64
    than in float32. Here both get the CPU's float32 numbers. Draws from a given generator stay as they are.
    """

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        options, operation = dict(kwargs or {}), func.overloadpacket
        if options.get("generator") is not None:
            return func(*args, **options)
        if operation in _FILLING:
            target, *distribution = args
            return target.copy_(func(torch.empty(target.shape, dtype=torch.float32), *distribution, **options))
        if operation in _MAKING:
            device, dtype = options.pop("device", None), options.pop("dtype", None)
            drawn = func(*args, device="cpu", dtype=torch.float32, **options)
            return drawn.to(device=device, dtype=dtype or torch.get_default_dtype())
        if operation is _aten.native_dropout:
            return _dropped_out(*args)
        return func(*args, **options)


def _dropped_out(values: Tensor, share: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """Returns what a GPU's dropout in one operation returns, with the mask that a CPU's dropout would draw.

    Returns:
        The values of which a share is 0 and the others are scaled up, and where they are kept.
    """
    if train is False:
        return values.clone(), torch.ones_like(values, dtype=torch.bool)
    kept = torch.empty(values.shape, dtype=torch.float32).bernoulli_(1 - share).to(values)
    return values * kept.div(1 - share), kept.bool()
