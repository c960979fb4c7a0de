"""Ray Tune as sweeps and searches use it: worker processes are reused, and the trial store is Tune's memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from data.errors import RunFailed, UserError
from data.workers.local_ray import local_ray
from data.workers.scratch import scratch_folder
from experiments.compute.anew import RESTARTS, RayDied, deaths
from experiments.compute.killed_actors import kills_taken_as_deaths
from experiments.compute.resources import Resources
from experiments.compute.stalled import Abandoned, Stalled

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


def on_ray(resources: Resources, own: bool, note: Callable[[str], None], run: Callable[[], None]) -> None:
    """Calls `run` while Ray runs. Where Ray is this machine's own and stalls, the process is replaced, once.

    Args:
        resources: what each trial gets.
        own: whether to start a Ray on this machine; else this process is connected to a cluster.
        note: prints a line.
        run: calls `fit`, to do what is left.

    Raises:
        RayDied: nothing runs any more on this machine's own Ray; `replaced_where_ray_dies` goes on from there.
        Stalled: the same on the cluster, or the second Ray of this command has died, or does not start.
    """
    if not own:
        run()
        return
    count, reason = deaths()
    if count > RESTARTS:
        raise Stalled(reason)
    try:
        with own_ray(resources):
            run()
    except Stalled as stalled:
        if count < RESTARTS:
            note(f"{stalled}: Ray is started anew, and trials go on from their last checkpoints")
        raise RayDied(str(stalled)) from None
    except RunFailed:
        raise
    except UserError as error:
        if count:
            raise Stalled(str(error)) from error
        raise


def own_ray(resources: Resources) -> AbstractContextManager[None]:
    """Returns a context in which Ray runs on this machine for this process alone."""
    cpus = resources.workers * resources.devices * resources.cpus
    return local_ray(cpus, {**ENVIRONMENT, "TUNE_MAX_PENDING_TRIALS_PG": str(resources.workers)})


def fit(
    worker: Any,
    resources: Resources,
    observer: Any,
    param_space: dict[str, Any],
    own: bool,
    note: Callable[[str], None],
    reserved: Any = None,
    **tune_config: Any,
) -> None:
    """Lets Tune run trials until all are done or SIGINT ends it; Ray must be running.

    Args:
        worker: a Trainable, which runs a trial.
        resources: what each trial gets.
        observer: Tune's callback.
        param_space: what Tune hands to each trial, as `tune.Tuner` takes it.
        own: whether Ray is this machine's own.
        note: prints a line.
        reserved: what Tune reserves for each trial, where that is not one device's `resources`.
        tune_config: what to run, as `tune.TuneConfig` takes it.

    Raises:
        Stalled: nothing runs any more.
    """
    from ray import tune

    from experiments.compute.patience import Patience

    for name in ("ray.tune", "ray.train"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    with scratch_folder("tune") as storage, kills_taken_as_deaths():
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
                storage_path=str(storage),
                # The worker keeps its own checkpoints, in the trial store.
                checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
                failure_config=tune.FailureConfig(max_failures=RETRIES),
                callbacks=[observer, Patience(resources, own, note)],
                verbose=0,
            ),
        )
        try:
            tuner.fit()
        except Abandoned as reason:
            raise Stalled(str(reason)) from None


def _short_name(trial: Any) -> str:
    return trial.trial_id  # the default is made of all settings
