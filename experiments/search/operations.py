"""What a setting costs: the floating-point operations of its training.

Operations and not seconds, which are in the table beside them: seconds depend on the machine, on its other work and, on
a cluster, on the node, so two settings of the same cost would differ by luck, one of them would seem to beat the
other, and a search that goes on elsewhere would mix two scales. Operations are the same digits everywhere. They leave
out what is not a product of matrices or a convolution, and that small batches use a machine less well.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

import torch
from torch.utils.flop_counter import FlopCounterMode

from experiments.learning import contract
from experiments.trial_store.layout import Layout
from experiments.trials.grid import Trial
from experiments.trials.run import prepare
from experiments.trials.training import Row


def operations(trial: Trial, layout: Layout, device: torch.device, rows: Sequence[Row]) -> float:
    """Operations, forwards and backwards, of the epochs that a trial's rows tell of.

    Those of its first step for each image in it, times the images that it was trained on: its steps are taken to
    be alike. Raises what making its learner or the step raises.
    """
    _, learner = prepare(trial, contract.SYSTEMS.get(trial.system), layout, device)
    with closing(learner.epoch(0)) as steps, FlopCounterMode(display=False) as counter:
        images = float(next(steps)["images"])
    trained = sum(round(row["seconds"] * row["images_per_second"]) for row in rows)
    return counter.get_total_flops() / images * trained
