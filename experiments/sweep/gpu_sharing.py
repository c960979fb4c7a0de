"""How many trials share a GPU: as many as fit into its memory, which is measured."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from data.errors import UserError
from experiments.compute.gpu_memory import Held, fitting, room, too_large
from experiments.compute.resources import WORKERS_PER_GPU, Resources
from experiments.settings.schema import Compute
from experiments.sweep.cost import Costs
from experiments.sweep.live_line import Live
from experiments.trials.grid import Trial
from experiments.trials.run import close_data
from experiments.trials.run_together import stackable


def share_gpus(compute: Compute, chosen: Resources, costs: Costs, pending: Sequence[Trial], live: Live) -> Resources:
    """Returns the resources with a share of a GPU into which the largest of the pending trials fits.

    They stay as they are where the settings name a share, or where the GPUs are those of a cluster. UserError where
    a system's trials do not fit into a whole GPU.
    """
    if compute.gpus_per_trial is not None or not chosen.gpus or chosen.devices > 1 or not pending:
        return chosen
    import ray

    if ray.is_initialized():  # connected to a cluster, whose GPUs may differ from those here
        live.note(
            f"up to {WORKERS_PER_GPU} trials share a GPU of the cluster, whatever memory they need: where that is too "
            "many, set compute.gpus_per_trial"
        )
        return chosen
    held: dict[str, Held] = {}
    for trial in sorted(pending, key=lambda trial: (trial.xi == 0, -trial.proportion)):  # the largest of each system
        if trial.system not in held:
            measured = _held(trial, costs)
            if measured is not None:
                held[trial.system] = measured
    stacked = {trial.system for trial in pending if stackable(trial)}
    grown = costs.grown
    close_data(costs.device)
    return fitting(chosen, held, stacked, room(costs.device, grown), torch.cuda.device_count())


def _held(trial: Trial, costs: Costs) -> Held | None:
    """Returns the memory that the trial holds, or None where it cannot take a step and will fail by itself."""
    try:
        return costs.held(trial)
    except torch.OutOfMemoryError:
        pass  # the memory that the error refers to is released before anything is measured
    except UserError:
        raise
    except Exception:
        return None
    close_data(costs.device)
    raise UserError(too_large(trial.system, "more", torch.cuda.mem_get_info(costs.device)[0]))
