"""Sending trials to workers with Ray Tune: what is not done yet, longest first, some of them as one where that pays.

Where this process is in a cluster already, its workers are used; otherwise a Ray is started here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext

from experiments.compute.ray_tune import fit, local_ray
from experiments.compute.resources import Resources
from experiments.learning import contract
from experiments.sweep.live_line import Live
from experiments.sweep.progress import Progress
from experiments.tracking.background import Tracker
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout
from experiments.trials.grid import Trial
from experiments.trials.run_together import grouped


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
    than the seconds in `limits`, is tried once more, then noted as failed, and so are those stacked with it.
    SIGINT ends the sweep after a last checkpoint of what is running: then not all trials have ended in `progress`.
    """
    import ray

    with nullcontext() if ray.is_initialized() else local_ray(resources):
        from ray import tune

        from experiments.sweep.observer import Observer
        from experiments.sweep.worker import Worker, task

        absolute, gpu = layout.absolute(), resources.gpus > 0
        stacks = sorted(
            grouped(trials, resources.stack, store),
            key=lambda stack: -sum(progress.expected[trial.identity] for trial in stack),
        )
        tasks = [
            task(
                stack,
                contract.SYSTEMS.get(stack[0].system),
                absolute,
                resources.cpus,
                gpu,
                sum(limits[trial.identity] for trial in stack),
            )
            for stack in stacks
        ]
        observer = Observer(store, progress, tracker, live)
        space = {"task": tune.grid_search(tasks)}
        if resources.devices == 1:
            fit(Worker, resources, observer, space)
        else:
            from experiments.sweep.multi_device_worker import WAITING, Spreader

            fit(Spreader, resources, observer, space, WAITING, max_concurrent_trials=resources.workers)
