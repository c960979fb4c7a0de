"""Sending trials to workers with Ray Tune: what is not done yet, longest first, some of them as one where that pays.

Where this process is in a cluster already, its workers are used; otherwise a Ray is started here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext

from experiments.grid import Trial
from experiments.layout import Layout
from experiments.live import Live
from experiments.progress import Progress
from experiments.resources import Resources
from experiments.stacked import grouped
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
    than the seconds in `limits`, is tried once more, then noted as failed, and so are those stacked with it.
    SIGINT ends the sweep after a last checkpoint of what is running: then not all trials have ended in `progress`.
    """
    import ray

    with nullcontext() if ray.is_initialized() else local_ray(resources):
        from ray import tune

        from experiments.observer import Observer
        from experiments.worker import Worker, task

        absolute, gpu = layout.absolute(), resources.gpus > 0
        stacks = sorted(
            grouped(trials, resources.stack, store),
            key=lambda stack: -sum(progress.expected[trial.identity] for trial in stack),
        )
        tasks = [
            task(
                stack,
                contract.get(stack[0].system),
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
            from experiments.spread import WAITING, Spreader

            fit(Spreader, resources, observer, space, WAITING, max_concurrent_trials=resources.workers)
