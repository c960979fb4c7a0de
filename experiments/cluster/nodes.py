"""A running Ray cluster as the place where trials run, looked at before any of them starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from data.cluster import join
from data.errors import UserError
from data.labelled.splits import Splits
from data.prepared.store import ImageStore
from experiments.compute.ray_tune import ENVIRONMENT
from experiments.compute.resources import Resources, resolve
from experiments.provenance import REVISION, revision
from experiments.settings.schema import Compute
from experiments.trial_store.layout import Layout

PACKAGES = ("data", "experiments", "vae")  # whose code a worker needs


@contextmanager
def connected(address: str, compute: Compute, layout: Layout, dataset: str) -> Iterator[tuple[Resources, str]]:
    """This process in the cluster at `address` (`HOST:PORT`, `auto`, or `ray://…`); gives what each trial gets there,
    and where its dashboard is, if it has one.

    The code goes along; its dependencies have to be installed on the nodes. Data and trial store must be at a URI, or
    at the same paths on every node. UserError where nobody answers, a node does not see them, or more is asked for than
    there is.
    """
    import ray

    told = {} if REVISION in os.environ else {REVISION: json.dumps(revision())}  # a job has been told it already
    try:
        dashboard = join(address, PACKAGES, {**ENVIRONMENT, **told})
    except ConnectionError as error:
        raise UserError(
            f"no Ray cluster at {address} ({error}): look at `ray status` there, and, where it asks for a token, at "
            "RAY_AUTH_MODE and RAY_AUTH_TOKEN; or leave --address and RAY_ADDRESS away to run on this machine"
        ) from error
    os.environ.update(ENVIRONMENT)
    try:
        _check_nodes(ray, layout.absolute(), dataset, compute.gpus_per_trial != 0)
        there = ray.cluster_resources()
        place = f"the cluster at {address}"
        yield resolve(compute, int(there.get("CPU", 0)), int(there.get("GPU", 0)), place), dashboard
    finally:
        ray.shutdown()


def _check_nodes(ray: Any, layout: Layout, dataset: str, wants_gpus: bool) -> None:
    """UserError, naming the nodes, where one does not see data or trial store as this machine does, or has no GPU that
    can be used."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    images, splits = ImageStore.open(layout.processed(dataset)), Splits.open(layout.splits(dataset))
    expected = images.fingerprint, splits.data, splits.repetitions
    nodes = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
    hosts = {name: node["NodeManagerHostname"] for name, node in nodes.items()}
    look = ray.remote(num_cpus=0, max_retries=0)(_lacking)
    mark = f".mark-{uuid.uuid4().hex}"
    try:
        with layout.trial_store.marked(mark):
            asked = {
                name: look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(name, soft=False)).remote(
                    layout, dataset, expected, mark, wants_gpus and node["Resources"].get("GPU", 0)
                )
                for name, node in nodes.items()
            }
            found = {name: ray.get(told) for name, told in asked.items()}
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise UserError(f"a node of the cluster cannot run this project's code: {reason}") from error
    troubles = [f"\n  {hosts[name]} ({name[:8]}): {told}" for name, told in found.items() if told]
    if troubles:
        raise UserError(
            f"{len(troubles)} of {len(nodes)} nodes of the cluster cannot run trials:{''.join(troubles)}\n"
            "Put data and trial store on storage that every node sees under the same path, or on an object store "
            "(--data, --store), or bring the data to each: `python -m data pull`."
        )


def _lacking(layout: Layout, dataset: str, expected: tuple[str, str, int], mark: str, gpus: float) -> str | None:
    """What a node lacks, looked for on that node, which says that it has so many GPUs; data at a URI are brought there.

    Ray hides GPUs from those who ask for none, so that they are looked for in another process.
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
    """How many GPUs PyTorch can use on this machine, seen by a process from which Ray hides none."""
    environment = {name: value for name, value in os.environ.items() if name != "CUDA_VISIBLE_DEVICES"}
    count = [sys.executable, "-c", "import torch; print(torch.cuda.device_count())"]
    return int(subprocess.run(count, env=environment, capture_output=True, text=True, check=True).stdout)
