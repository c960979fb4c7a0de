"""Ray Tune as sweeps and searches use it: worker processes are reused, and the trial store is Tune's memory."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from data.ray_connection import start
from experiments.compute.resources import Resources

# Ray and Tune read these in this process and in those that they start.
ENVIRONMENT = {
    "RAY_AIR_NEW_OUTPUT": "0",  # the new one prints a box whatever its verbosity
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_gcs_rpc_server_reconnect_timeout_s": "20",  # for so long Ray's agents outlive a killed driver
    "RAY_prestart_worker_first_driver": "0",  # Tune's workers have their own environment, and start anew anyway
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",  # an epoch of a search has no score yet
    "TUNE_GLOBAL_CHECKPOINT_S": "1000000000",  # the trial store is what a sweep goes on from
    "TUNE_PRINT_ALL_TRIAL_ERRORS": "0",
    "TUNE_WARN_THRESHOLD_S": "5",
}
RETRIES = 1  # of a trial whose process died


@contextmanager
def local_ray(resources: Resources) -> Iterator[None]:
    """Starts Ray on this machine for this process alone, and shuts it down at the end of the block."""
    os.environ.update(ENVIRONMENT)
    os.environ["TUNE_MAX_PENDING_TRIALS_PG"] = str(resources.workers)
    start(cpus=resources.workers * resources.devices * resources.cpus)
    import ray

    try:
        yield
    finally:
        ray.shutdown()


def fit(
    worker: Any,
    resources: Resources,
    observer: Any,
    param_space: dict[str, Any],
    reserved: Any = None,
    **tune_config: Any,
) -> None:
    """Lets Tune run trials until all are done or SIGINT ends it; Ray must be running.

    Args:
        worker: a Trainable, which runs a trial.
        resources: what each trial gets.
        observer: Tune's callback.
        param_space: what Tune hands to each trial, as `tune.Tuner` takes it.
        reserved: what Tune reserves for each trial, where that is not one device's `resources`.
        tune_config: what to run, as `tune.TuneConfig` takes it.
    """
    from ray import tune

    for name in ("ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with tempfile.TemporaryDirectory(prefix="tune-") as storage:
        tuner = tune.Tuner(
            tune.with_resources(worker, reserved or {"cpu": resources.cpus, "gpu": resources.gpus}),
            param_space=param_space,
            tune_config=tune.TuneConfig(
                reuse_actors=True,
                trial_name_creator=_short_name,
                trial_dirname_creator=_short_name,
                **tune_config,
            ),
            run_config=tune.RunConfig(
                name="trials",
                storage_path=storage,
                # The worker keeps its own checkpoints, in the trial store.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                failure_config=tune.FailureConfig(max_failures=RETRIES),
                callbacks=[observer],
                verbose=0,
            ),
        )
        tuner.fit()


def _short_name(trial: Any) -> str:
    return trial.trial_id  # the default is made of all settings
