"""A running Ray cluster as the place where trials run, looked at before any of them starts."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from data.cluster import join
from data.errors import DataError
from data.splits import Splits
from data.store import ImageStore
from experiments.config import Compute
from experiments.errors import UserError
from experiments.grid import Layout
from experiments.provenance import REVISION, revision
from experiments.resources import Resources, resolve
from experiments.tuning import ENVIRONMENT

PACKAGES = ("data", "experiments", "vae")
# Not code: what lies beside it in a folder where the pipeline was run.
LEFT_HERE = ["raw", "processed", "splits", "store", "gallery", "evidence", "results.csv", "averaging.csv"]


@contextmanager
def connected(address: str, compute: Compute, layout: Layout, dataset: str) -> Iterator[Resources]:
    """This process in the cluster at `address` (`HOST:PORT`, `auto`, or `ray://…`); gives what each trial gets there.

    The code goes along; its dependencies have to be installed on the nodes. Data and trial store must be at the same
    paths on every node. UserError where nobody answers, a node does not see them, or more is asked for than there is.
    """
    import ray

    environment = {**ENVIRONMENT, REVISION: json.dumps(revision())}
    root = Path(__file__).parents[2]
    package = {
        "py_modules": [str(root / name) for name in PACKAGES],
        "excludes": LEFT_HERE,
        "env_vars": environment,
    }
    try:
        join(address, package)
    except ConnectionError as error:
        raise UserError(
            f"no Ray cluster at {address} ({error}): look at `ray status` there, and, where it asks for a token, at "
            "RAY_AUTH_MODE and RAY_AUTH_TOKEN; or leave --address and RAY_ADDRESS away to run on this machine"
        ) from error
    os.environ.update(ENVIRONMENT)
    try:
        _check_nodes(ray, layout.absolute(), dataset)
        there = ray.cluster_resources()
        yield resolve(compute, int(there.get("CPU", 0)), int(there.get("GPU", 0)), f"the cluster at {address}")
    finally:
        ray.shutdown()


def _check_nodes(ray: Any, layout: Layout, dataset: str) -> None:
    """UserError, naming the nodes, where one does not see the data or the trial store as this machine does."""
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    store, splits = ImageStore.open(layout.processed(dataset)), Splits.open(layout.splits(dataset))
    layout.store.mkdir(parents=True, exist_ok=True)
    mark = layout.store / f".mark-{uuid.uuid4().hex}"
    mark.touch()
    try:
        nodes = {node["NodeID"]: node["NodeManagerHostname"] for node in ray.nodes() if node["Alive"]}
        look = ray.remote(num_cpus=0, max_retries=0)(_lacking)
        asked = {
            name: look.options(scheduling_strategy=NodeAffinitySchedulingStrategy(name, soft=False)).remote(
                layout, dataset, (store.fingerprint, splits.data, splits.repetitions), mark
            )
            for name in nodes
        }
        troubles = [
            f"\n  {nodes[name]} ({name[:8]}): {told}" for name, found in asked.items() if (told := ray.get(found))
        ]
    except ray.exceptions.RayError as error:
        reason = str(error).strip().splitlines()[-1]
        raise UserError(f"a node of the cluster cannot run this project's code: {reason}") from error
    finally:
        mark.unlink()
    if troubles:
        raise UserError(
            f"{len(troubles)} of {len(nodes)} nodes of the cluster cannot run trials:{''.join(troubles)}\n"
            "Put data and trial store on storage that every node sees under the same path (--store, and run from "
            "there), or bring the data to each: `python -m data pull`."
        )


def _lacking(layout: Layout, dataset: str, expected: tuple[str, str, int], mark: Path) -> str | None:
    """What a node lacks, looked for on that node."""
    try:
        store, splits = ImageStore.open(layout.processed(dataset)), Splits.open(layout.splits(dataset))
    except DataError as error:
        return str(error)
    if (store.fingerprint, splits.data, splits.repetitions) != expected:
        return f"{layout.data} holds other images or splits of {dataset} than here"
    if not mark.is_file():
        return f"{layout.store} is not the trial store that this machine sees"
    if not os.access(layout.store, os.W_OK):
        return f"{layout.store} cannot be written"
    return None
