"""A sweep as a job of a running Ray cluster: it is sent there with its code, and its output is followed."""

from __future__ import annotations

import asyncio
import json
import logging
import shlex
import sys
import time
from typing import Any

from data.errors import UserError
from data.secrets import holds_secret, masked
from data.workers.code_for_workers import code_folder
from data.workers.ray_connection import first_line
from experiments.cluster.nodes import PACKAGES
from experiments.provenance import REVISION, revision
from experiments.settings.config import Config
from experiments.tracking.server import check_tracking, tracking_uri
from experiments.trial_store.layout import Layout
from experiments.trials.identity import digest

SWEEP = "sweep"  # key of a job's metadata: a hash of the sweep's settings and places
AGENT_SECONDS = 180  # that a cluster which has just started, or is busy, may need before it takes jobs
AGENTLESS = (
    "; its head's agent may not have found its port free, which another Ray on that machine has: start the head with "
    "--dashboard-agent-listen-port=0"
)
ENDED = ("SUCCEEDED", "FAILED", "STOPPED")


def submit_job(config: Config, layout: Layout, address: str) -> None:
    """Runs the active profile as a job of the cluster whose dashboard is at `address`, and waits for its end.

    Where a job of the same sweep is at work there already, it is followed instead. UserError where the job cannot be
    sent or did not succeed. A KeyboardInterrupt leaves the job running.
    """
    arguments = _arguments(layout)
    uri = tracking_uri(config)
    _check_secrets(config, uri)
    if not uri.startswith(("http://", "https://")):
        raise UserError(
            f"a job cannot write MLflow's {masked(uri)}: start a server that the cluster reaches (`mlflow server`), "
            "and name it with MLFLOW_TRACKING_URI or tracking.uri"
        )
    check_tracking(uri)
    client = _client(address)
    sweep = digest([config.resolved(), arguments])
    job = _at_work(client, sweep)
    if job is None:
        job = _send(client, config, arguments, sweep, uri)
        print(f"job {job} sent to {masked(address)}")
    else:
        print(f"job {job} is at work on it already, at {masked(address)}")
    print(f"Ctrl-C leaves it alone; `ray job stop {job} --address {masked(address)}` ends it", flush=True)
    _follow(client, job)


def _check_secrets(config: Config, uri: str) -> None:
    """Raises UserError where a secret would be sent: who sees Ray's dashboard reads a job's environment and files."""
    storage = config.params.search.storage if config.params.search else None
    for name, place, remedy in (
        (
            "the tracking URI",
            uri,
            "name the server without it, and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD here and in the "
            "environment that the cluster's nodes are started in",
        ),
        ("search.storage", storage, "leave it out; PGPASSWORD or ~/.pgpass has it"),
    ):
        if place and holds_secret(place):
            raise UserError(
                f"{name} {masked(place)} has a secret in it, and who sees Ray's dashboard can read what a job is sent "
                f"with: {remedy}"
            )


def _arguments(layout: Layout) -> list[str]:
    """Returns the job's options for data and trial store. UserError for a relative path, which means another place."""
    arguments = []
    for option, uri, path in (("store", layout.store_uri, layout.store), ("data", layout.data_uri, layout.data)):
        if not uri and not path.is_absolute():
            raise UserError(
                f"--{option} {path}: a job works in another folder: name a place that every node sees, by its whole "
                f"path ({path.absolute()}, if it is one) or by a URI such as s3://BUCKET/{option}"
            )
        arguments += [f"--{option}", uri or str(path)]
    return arguments


def _client(address: str) -> Any:
    from ray.exceptions import AuthenticationError
    from ray.job_submission import JobSubmissionClient

    for module in ("job.sdk", "dashboard_sdk"):
        logging.getLogger(f"ray.dashboard.modules.{module}").setLevel(logging.WARNING)
    try:
        return JobSubmissionClient(address)
    except (AuthenticationError, ConnectionError, RuntimeError, ValueError) as error:
        raise UserError(
            f"no Ray jobs at {masked(address)} ({masked(first_line(error), address)}): name the dashboard of a running "
            "cluster, and, where it asks for a token, set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN"
        ) from error


def _at_work(client: Any, sweep: str) -> str | None:
    """Returns the job of that sweep which has not ended, or None."""
    for job in client.list_jobs():
        if (job.metadata or {}).get(SWEEP) == sweep and job.status not in ENDED:
            return job.submission_id
    return None


def _send(client: Any, config: Config, arguments: list[str], sweep: str, uri: str) -> str:
    command = ["python", "-m", "experiments", "run", "--params", "params.yaml", *arguments]
    environment = {"MLFLOW_TRACKING_URI": uri, REVISION: json.dumps(revision())}
    deadline = time.monotonic() + AGENT_SECONDS
    with code_folder(*PACKAGES) as folder:
        (folder / "params.yaml").write_text(config.text(), encoding="utf-8")
        while True:
            try:
                return client.submit_job(
                    entrypoint=shlex.join(command),
                    runtime_env={"working_dir": str(folder), "env_vars": environment},
                    metadata={SWEEP: sweep},
                )
            except RuntimeError as error:
                agentless = "No available agent" in str(error)
                if not agentless or time.monotonic() > deadline:
                    remedy = AGENTLESS if agentless else ""
                    raise UserError(
                        f"the cluster does not take the job: {masked(first_line(error))}{remedy}"
                    ) from error
                time.sleep(1)


def _follow(client: Any, job: str) -> None:
    """Shows what the job prints until it ends. UserError where it did not succeed."""

    async def show() -> None:
        async for lines in client.tail_job_logs(job):
            sys.stderr.write(lines)
            sys.stderr.flush()

    asyncio.run(show())
    status = client.get_job_status(job)
    if status != "SUCCEEDED":
        message = (client.get_job_info(job).message or "").partition(", last available logs")[0]
        raise UserError(
            f"job {job} {status.lower() if status in ENDED else 'was lost'}: {message}\n"
            "finished trials are safe in the trial store: the same command goes on with the others"
        )
