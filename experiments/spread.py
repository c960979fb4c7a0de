"""A trial over several devices: Ray Tune's view of it, which has Ray Train start its ranks.

Ray Train's own checkpoints and results are not used: the first rank keeps the trial's folder, as a worker does that
runs a trial alone.
"""

from __future__ import annotations

import tempfile
from typing import Any

from ray import train, tune
from ray.train.torch import TorchConfig, TorchTrainer, get_device
from ray.tune.integration.ray_train import TuneReportCallback

from data.errors import DataError
from experiments.errors import UserError
from experiments.layout import Layout
from experiments.ranks import Ranks
from experiments.trial import TrialFailed, epochs, follow, set_up
from experiments.watchdog import within
from experiments.worker import ENDED, NOTE, ROWS

# Kept by Tune for what waits for the ranks: a byte, which every node has, so that no CPU is kept from them.
WAITING = tune.PlacementGroupFactory([{"memory": 1}])
REFUSALS = (TrialFailed, UserError, DataError)


def launch(config: dict[str, Any]) -> None:
    """What Tune runs for each trial: its ranks, to its end. Its config has what `worker.task` makes of one trial under
    the key `task`.

    A trial that fails ends like any other, with its reason; where a rank's process dies, which is Tune's business, it
    raises what Ray Train does.
    """
    task = config["task"]
    (trial,) = task["trials"]
    each = {"CPU": task["threads"], **({"GPU": 1} if task["gpu"] else {})}
    told = TuneReportCallback()
    with tempfile.TemporaryDirectory(prefix="train-") as storage:
        trainer = TorchTrainer(
            _rank,
            train_loop_config=task,
            torch_config=TorchConfig(timeout_s=int(task["limit"])),
            scaling_config=train.ScalingConfig(
                num_workers=trial.devices, use_gpu=task["gpu"], resources_per_worker=each
            ),
            run_config=train.RunConfig(name=trial.identity, storage_path=storage, callbacks=[told]),
        )
        try:
            trainer.fit()
        except train.WorkerGroupError as error:
            reasons = [str(each) for each in error.worker_failures.values() if isinstance(each, REFUSALS)]
            if not reasons:
                raise
            told.after_report(None, [_said(ended={trial.identity: reasons[0]})], None)


def _said(rows: dict[str, Any] | None = None, ended: dict[str, str | None] | None = None) -> dict[str, Any]:
    return {ROWS: rows or {}, ENDED: ended or {}, NOTE: ""}


def _rank(task: dict[str, Any]) -> None:
    """What runs on each device. All ranks report equally often, since Ray Train waits for the last to do so."""
    context = train.get_context()
    ranks = Ranks(context.get_world_rank(), context.get_world_size())
    device = set_up(task["threads"], task["gpu"])
    if task["gpu"]:
        device = get_device()
    layout = task["layout"].of_worker()
    (trial,) = task["trials"]
    layout.bring(trial.dataset)
    if ranks.index == 0:
        _lead(task, layout, device, ranks)
    elif ranks.told(None):
        for _ in follow(trial, task["system"], layout, device, ranks):
            train.report(_said())
    train.report(_said(ended={trial.identity: None}))


def _lead(task: dict[str, Any], layout: Layout, device: Any, ranks: Ranks) -> None:
    (trial,) = task["trials"]
    folder = layout.trial_store.folder(trial.identity)
    folder.path.mkdir(parents=True, exist_ok=True)
    if not ranks.told(folder.result() is None):
        return
    rows = epochs(trial, task["system"], layout, folder, device, ranks=ranks)
    while True:
        with within(task["limit"], folder.stuck):
            row = next(rows, None)
        if row is None:
            return
        train.report(_said(rows={trial.identity: row}))
