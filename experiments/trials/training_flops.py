"""The cost of a training that is the same on every machine: its floating-point operations.

Seconds depend on the machine, on its other work and, on a cluster, on the node. Operations are the same digits
everywhere. They count products of matrices and convolutions alone, and ignore that small batches use a machine less
well; the tables show seconds beside them.
"""

from __future__ import annotations

from contextlib import closing

from torch.utils.flop_counter import FlopCounterMode

from experiments.learning.contract import Learner


def operations(learner: Learner, images: float) -> float:
    """Returns the operations, forward and backward, of a learner's training on so many images.

    They are the operations per image of a step, which the learner takes for it; all steps are taken to be alike. Its
    weights are of no use afterwards. Raises what the step raises.
    """
    # `epoch` is a generator in every system.
    with closing(learner.epoch(0)) as steps, FlopCounterMode(display=False) as counter:  # type: ignore[type-var]
        in_step = float(next(steps)["images"])
    return counter.get_total_flops() / in_step * images
