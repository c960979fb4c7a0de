"""The cost of a setting: the floating-point operations of its training.

Seconds would not do. They depend on the machine, on its other work and, on a cluster, on the node; two settings of the
same cost would differ by chance, and a search that is continued on another machine would mix two scales. Operations are
the same digits everywhere. They count products of matrices and convolutions alone, and ignore that small batches use
a machine less well. The evidence of a search shows seconds beside them.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import torch
from torch.utils.flop_counter import FlopCounterMode

from experiments.trial_store.layout import Layout
from experiments.trials.grid import Trial
from experiments.trials.run import prepare
from experiments.trials.training import Row


def operations(trial: Trial, layout: Layout, device: torch.device, rows: Sequence[Row]) -> float:
    """Returns the operations, forward and backward, of the epochs in a trial's rows.

    They are the operations per image of the trial's first step, times the number of images that it was trained on;
    all steps are taken to be alike. Raises what making the learner or taking the step raises.
    """
    _, learner = prepare(trial, layout, device)
    # `epoch` is a generator in every system.
    with closing(learner.epoch(0)) as steps, FlopCounterMode(display=False) as counter:  # type: ignore[type-var]
        images = float(next(steps)["images"])
    trained = sum(round(row["seconds"] * row["images_per_second"]) for row in rows)
    return counter.get_total_flops() / images * trained
