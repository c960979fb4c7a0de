"""Sending trials to workers with Ray Tune: what is not done yet, longest first, each in its own time.

Where this process is in a cluster already, its workers are used; otherwise a Ray is started here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext

from experiments.grid import Layout, Trial
from experiments.live import Live
from experiments.progress import Progress
from experiments.resources import Resources
from experiments.systems import contract
from experiments.tracker import Tracker
from experiments.trials import TrialStore
from experiments.tuning import fit, local_ray


def run(
    trials: Sequence[Trial],
    store: TrialStore,
    layout: Layout,
    resources: Resources,
    limits: Mapping[str, float],
    progress: Progress,
    tracker: Tracker,
    live: Live,
) -> None:
    """Runs the trials in the order given; the store has what came of each.

    A trial that fails is noted, and the others go on; one whose process dies, or is ended because an epoch takes more
    than the seconds in `limits`, is tried once more, then noted as failed.
    SIGINT ends the sweep after a last checkpoint of what is running: then not all trials have ended in `progress`.
    """
    import ray

    with nullcontext() if ray.is_initialized() else local_ray(resources):
        from ray import tune

        from experiments.observer import Observer
        from experiments.worker import Worker, task

        absolute, gpu = layout.absolute(), resources.gpus > 0
        tasks = [
            task(trial, contract.get(trial.system), absolute, resources.cpus, gpu, limits[trial.identity])
            for trial in trials
        ]
        observer = Observer(store, progress, tracker, live)
        fit(Worker, resources, observer, {"task": tune.grid_search(tasks)})
