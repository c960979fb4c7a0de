"""A running Ray cluster as the place where trials run; its nodes are checked before any trial starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from data.errors import UserError
from data.labelled.splits import Splits
from data.prepared.store import ImageStore
from data.secrets import masked
from data.workers.ray_connection import join
from experiments.compute.ray_tune import ENVIRONMENT
from experiments.compute.resources import Resources, resolve
from experiments.provenance import REVISION, revision
from experiments.settings.schema import Compute
from experiments.trial_store.layout import Layout

PACKAGES = ("data", "experiments", "vae")  # whose code a worker needs


@contextmanager
def connected(address: str, compute: Compute, layout: Layout, dataset: str) -> Iterator[tuple[Resources, str]]:
    """Connects this process to the cluster at `address` (`HOST:PORT`, `auto`, or `ray://…`) while the block lasts.

    Yields what each trial gets there, and the address of the dashboard ("" where there is none). The project's code is
    sent along; its dependencies must be installed on the nodes. Data and trial store must be at a URI, or at the same
    paths on every node. UserError where no cluster answers, where a node does not see data or store, or where the
    settings ask for more than there is.
    """
    import ray

    known = {} if REVISION in os.environ else {REVISION: json.dumps(revision())}  # a job has it in its environment
    try:
        dashboard = join(address, PACKAGES, {**ENVIRONMENT, **known})
    except ConnectionError as error:
        raise UserError(
            f"no Ray cluster at {masked(address)} ({masked(str(error), address)}): look at `ray status` there, and, "
            "where it asks for a token, at RAY_AUTH_MODE and RAY_AUTH_TOKEN; or leave --address and RAY_ADDRESS away "
            "to run on this machine"
        ) from error
    os.environ.update(ENVIRONMENT)
    try:
        _check_nodes(ray, layout.absolute(), dataset, compute.gpus_per_trial != 0)
        total = ray.cluster_resources()
        place = f"the cluster at {masked(address)}"
        yield resolve(compute, int(total.get("CPU", 0)), int(total.get("GPU", 0)), place), dashboard
    finally:
        ray.shutdown()


def _check_nodes(ray: Any, layout: Layout, dataset: str, wants_gpus: bool) -> None:
    """Raises UserError where nodes do not see data or trial store as this machine does, or have no usable GPU.

    The message names these nodes.
    """
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    images, splits = ImageStore.open(layout.processed(dataset)), Splits.open(layout.splits(dataset))
    expected = images.fingerprint, splits.data, splits.repetitions
    nodes = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
    hosts = {name: node["NodeManagerHostname"] for name, node in nodes.items()}
    look = ray.remote(num_cpus=0, max_retries=0)(_lacking)
    mark = f".mark-{uuid.uuid4().hex}"
    try:
        with layout.trial_store.marked(mark):
            answers = {
                name: look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(name, soft=False)).remote(
                    layout, dataset, expected, mark, wants_gpus and node["Resources"].get("GPU", 0)
                )
                for name, node in nodes.items()
            }
            lacking = {name: ray.get(answer) for name, answer in answers.items()}
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise UserError(f"a node of the cluster cannot run this project's code: {reason}") from error
    troubles = [f"\n  {hosts[name]} ({name[:8]}): {lack}" for name, lack in lacking.items() if lack]
    if troubles:
        raise UserError(
            f"{len(troubles)} of {len(nodes)} nodes of the cluster cannot run trials:{''.join(troubles)}\n"
            "Put data and trial store on storage that every node sees under the same path, or on an object store "
            "(--data, --store), or bring the data to each: `python -m data pull`."
        )


def _lacking(layout: Layout, dataset: str, expected: tuple[str, str, int], mark: str, gpus: float) -> str | None:
    """Returns what this node lacks, or None; data at a URI are copied to it. Runs on the node.

    Args:
        layout: where data and trial store are, absolute.
        dataset: name of the dataset.
        expected: fingerprint of the images, fingerprint that the splits were cut from, number of repetitions.
        mark: name of a file that the driver has put into the trial store.
        gpus: number of GPUs that Ray says the node has, where they are wanted. Ray hides them from a task that asks for
            none, such as this one, so another process looks for them.
    """
    if gpus and not _usable_gpus():
        return (
            f"says that it has {gpus:g} GPU, none of which PyTorch can use: install PyTorch for its CUDA there, or set "
            "compute.gpus_per_trial to 0 to run on CPUs"
        )
    layout = layout.of_worker()
    try:
        layout.bring(dataset)
        images, splits = ImageStore.open(layout.processed(dataset)), Splits.open(layout.splits(dataset))
        if (images.fingerprint, splits.data, splits.repetitions) != expected:
            return f"{layout.data_uri or layout.data} holds other images or splits of {dataset} than here"
        return layout.trial_store.lacks(mark)
    except UserError as error:
        return str(error)


def _usable_gpus() -> int:
    """Returns how many GPUs PyTorch can use on this machine, in a process from which Ray hides none."""
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    count = [sys.executable, "-c", "import torch; print(torch.cuda.device_count())"]
    return int(subprocess.run(count, env=environment, capture_output=True, text=True, check=True).stdout)
