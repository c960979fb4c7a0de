"""Sends trials to worker processes with Ray Tune: the longest first, and those that can be stacked together.

Where this process is connected to a cluster, the cluster's workers run them; otherwise a Ray is started here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from experiments.compute.ray_tune import fit, on_ray
from experiments.compute.resources import Resources
from experiments.sweep.live_line import Live
from experiments.sweep.progress import Progress
from experiments.tracking.mlflow_thread import Tracker
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout
from experiments.trials.grid import Trial
from experiments.trials.run_together import grouped


def dispatch(
    trials: Sequence[Trial],
    store: TrialStore,
    layout: Layout,
    resources: Resources,
    limits: Mapping[str, float],
    progress: Progress,
    tracker: Tracker,
    live: Live,
) -> None:
    """Runs the trials; afterwards the store holds what became of each.

    A trial that fails is noted, and the others go on. Where a process dies, or is ended because an epoch took more
    than the seconds in `limits`, its trials are tried once more and then noted as failed. SIGINT ends the sweep after
    a last checkpoint of the running trials; then not all trials have ended in `progress`.

    Args:
        trials: what to run.
        store: the trial store.
        layout: where data and trial store are.
        resources: what each trial gets, and how many run at once.
        limits: seconds that an epoch may take, by identity.
        progress: is told which trials begin and end.
        tracker: logs to MLflow.
        live: shows the progress.

    Raises:
        Stalled: nothing runs any more, and what is left has not ended in `progress`.
    """
    own = not _connected()

    def run() -> None:
        left = [trial for trial in trials if trial.identity not in progress.ended]
        for trial in left:
            progress.wait(trial.identity)
        _fit(left, store, layout, resources, limits, progress, tracker, live, own)

    on_ray(resources, own, live.note, run)


def _connected() -> bool:
    import ray

    return ray.is_initialized()


def _fit(
    trials: Sequence[Trial],
    store: TrialStore,
    layout: Layout,
    resources: Resources,
    limits: Mapping[str, float],
    progress: Progress,
    tracker: Tracker,
    live: Live,
    own: bool,
) -> None:
    from ray import tune

    from experiments.sweep.observer import Observer
    from experiments.sweep.worker import ASSIGNMENT, Assignment, Worker

    absolute, gpu = replace(layout.absolute(), lease=store.lease), resources.gpus > 0
    stacks = sorted(
        grouped(trials, resources.stack, store),
        key=lambda stack: -sum(progress.expected[trial.identity] for trial in stack),
    )
    assignments = [
        Assignment(tuple(stack), absolute, resources.cpus, gpu, sum(limits[trial.identity] for trial in stack))
        for stack in stacks
    ]
    observer = Observer(store, progress, tracker, live)
    space = {ASSIGNMENT: tune.grid_search(assignments)}
    if resources.devices == 1:
        fit(Worker, resources, observer, space, own, live.note)
    else:
        from experiments.sweep.multi_device_worker import WAITING, MultiDeviceWorker

        fit(
            MultiDeviceWorker, resources, observer, space, own, live.note, WAITING,
            max_concurrent_trials=resources.workers,
        )  # fmt: skip
