"""Sending trials to workers with Ray Tune: what is not done yet, longest first, each in its own time."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from experiments.grid import Layout, Trial
from experiments.live import Live
from experiments.progress import Progress
from experiments.resources import Resources
from experiments.systems import contract
from experiments.tracker import Tracker
from experiments.trials import TrialStore

# Read by Ray and Tune in this process and in those they start.
ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the new one prints a box whatever its verbosity
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # as on those systems, Ray then listens on the loopback address only
    "RAY_gcs_rpc_server_reconnect_timeout_s": "20",  # Ray's agents outlive a killed driver by so long
    "RAY_prestart_worker_first_driver": "0",  # Tune's workers have an environment of their own, and start anew
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # the trial store is what a sweep goes on from
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_THRESHOLD_S": "5",
}
OBJECT_STORE_BYTES = 80 * 2**20  # next to nothing goes through it; Ray asks for 75 MiB at least
RETRIES = 1  # of a trial whose process died


@contextmanager
def local_ray(resources: Resources) -> Iterator[None]:
    """A Ray of this command's own, on this machine alone: no dashboard, nothing reported home."""
    os.environ.update(ENVIRONMENT)
    import ray

    ray.init(
        num_cpus=resources.workers * resources.cpus,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    try:
        yield
    finally:
        ray.shutdown()


def run(
    trials: Sequence[Trial],
    store: TrialStore,
    layout: Layout,
    resources: Resources,
    progress: Progress,
    tracker: Tracker,
    live: Live,
) -> None:
    """Runs the trials in the order given; the store has what came of each.

    A trial that fails is noted, and the others go on; one whose process dies is tried once more, then noted as failed.
    SIGINT ends the sweep after a last checkpoint of what is running: then not all trials have ended in `progress`.
    """
    with local_ray(resources), tempfile.TemporaryDirectory(prefix="sweep-") as storage:
        from ray import tune

        from experiments.observer import Observer
        from experiments.worker import Worker, task

        for name in ("ray.tune", "ray.train"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
        os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(resources.workers)
        gpu = resources.gpus > 0
        absolute = layout.absolute()
        tasks = [task(trial, contract.get(trial.system), absolute, resources.cpus, gpu) for trial in trials]
        tuner = tune.Tuner(
            tune.with_resources(Worker, {"cpu": resources.cpus, "gpu": resources.gpus}),
            param_space={"task": tune.grid_search(tasks)},
            tune_config=tune.TuneConfig(
                reuse_actors=True,
                trial_name_creator=_short_name,
                trial_dirname_creator=_short_name,
            ),
            run_config=tune.RunConfig(
                name="sweep",
                storage_path=storage,
                # The worker keeps its own checkpoints, in the trial store.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                failure_config=tune.FailureConfig(max_failures=RETRIES),
                callbacks=[Observer(store, progress, tracker, live)],
                verbose=0,
            ),
        )
        tuner.fit()


def _short_name(trial: Any) -> str:
    return trial.trial_id  # the default is made of all settings
