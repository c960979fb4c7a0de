"""A sweep from its settings to results.csv and the gallery."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from data.errors import UserError
from data.prepared.store import ImageStore
from experiments.compute.resources import Resources, gpus, here
from experiments.learning import contract
from experiments.learning.device import set_up
from experiments.provenance import machine, revision, versions
from experiments.secrets import masked
from experiments.settings.config import Config
from experiments.sweep import dispatch as sweep
from experiments.sweep.cost import Costs
from experiments.sweep.gpu_sharing import shared
from experiments.sweep.live_line import Live, duration
from experiments.sweep.progress import Progress
from experiments.sweep.results import (
    AVERAGING,
    CAPTIONED,
    COLUMNS,
    SUBSETS,
    averaging_rows,
    row,
    subset_rows,
    write_captions,
    write_gallery,
    write_rows,
)
from experiments.tracking.background import Tracker, check, tracking_uri
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout
from experiments.trials.caption_scores import NO_JAVA, java
from experiments.trials.grid import Trial, trials

Row = dict[str, Any]
SHORTEST_LIMIT = 3600.0  # seconds that an epoch may take, at least, where the settings do not say
PATIENCE = 10  # times what its trial is expected to take
PROBE_SECONDS = 0.2  # for the steps of one system of which nothing is known


def longest_first(pending: Sequence[Trial], costs: Costs) -> dict[str, float]:
    """Expected seconds by identity, the longest first: the last ones to end are short, and no worker idles long."""
    by_labels = sorted(pending, key=lambda trial: -trial.proportion)  # the first of a system has its steps timed
    seconds = {trial.identity: _expected(trial, costs) for trial in by_labels}
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def _expected(trial: Trial, costs: Costs) -> float:
    try:
        return costs.seconds(trial)
    except UserError:
        raise
    except Exception:  # the trial itself will fail, and say why, where it costs the others nothing
        return 0.0


def epoch_limit(config: Config, expected: float) -> float:
    """Seconds that an epoch may take: what the settings say, or far more than its whole trial is expected to."""
    return config.params.compute.epoch_seconds or max(SHORTEST_LIMIT, PATIENCE * expected)


@contextmanager
def place(config: Config, layout: Layout, address: str | None) -> Iterator[tuple[Resources, str]]:
    """What each trial gets where they will run, the cluster at an address or this machine, and the dashboard there."""
    if not address:
        yield here(config.params.compute, spread=True), ""
        return
    from experiments.cluster.nodes import connected

    with connected(address, config.params.compute, layout, config.dataset) as found:
        yield found


def run(config: Config, layout: Layout, command: str, address: str | None = None) -> bool:
    """Runs what the active profile asks for and the store does not have yet; False where it was stopped half-way.

    `address` is that of a Ray cluster whose workers do it instead of this machine's. Whatever cannot work is refused
    before any trial starts, with a UserError.
    """
    started = time.monotonic()
    wanted, store = trials(config, layout), layout.trial_store
    check(tracking_uri(config))
    with place(config, layout, address) as (resources, dashboard), store.alone():
        store.fetch([trial.identity for trial in wanted])
        pending = [trial for trial in wanted if store.folder(trial.identity).result() is None]
        tracker, failed, stopped = _sweep(config, layout, store, resources, dashboard, wanted, pending)
        store.fetch([trial.identity for trial in pending])
        rows = [row(trial, store, tracker.runs, failed) for trial in wanted]
        facts = _facts(config, command, resources, time.monotonic() - started, wanted, store)
        facts["trials"] = {**_counts(rows), "reused": len(wanted) - len(pending)}
        _write(layout, store, wanted, rows, facts)
        with suppress(OSError):  # a full disk, on which trials failed too, and said so
            store.note(_sweep_file(config), facts)
    _say(rows, facts, tracker, stopped, time.monotonic() - started, layout)
    return not stopped


def collect(config: Config, layout: Layout) -> None:
    """Writes results.csv and the gallery of the active profile's last sweep, from the store alone; runs nothing."""
    wanted, store = trials(config, layout), layout.trial_store
    store.fetch([trial.identity for trial in wanted])
    facts = store.noted(_sweep_file(config))
    if facts is None:
        raise UserError(f"no sweep of profile {config.params.profile!r} has ended on {store}")
    tracker = Tracker(config, wanted, store)
    tracker.close()
    rows = [row(trial, store, tracker.runs) for trial in wanted]
    _write(layout, store, wanted, rows, facts)
    _say_of(rows, f"{_told(rows)}, brought here: {layout.results}; `python -m reports` makes the report", tracker)


def _sweep_file(config: Config) -> str:
    """Where the store keeps what is known of the profile's last sweep."""
    return f"sweep-{config.dataset}-{config.params.profile}.json"


def _counts(rows: Sequence[Row]) -> dict[str, int]:
    return {status: sum(row["status"] == status for row in rows) for status in ("done", "failed", "missing")}


def _write(
    layout: Layout, store: TrialStore, wanted: Sequence[Trial], rows: Sequence[Row], facts: Mapping[str, Any]
) -> None:
    """Makes what the report reads."""
    captioned = any(contract.SYSTEMS.get(trial.system).learns == contract.CAPTIONS for trial in wanted)
    write_rows(layout.results, CAPTIONED if captioned else COLUMNS, rows)
    write_rows(layout.averaging, AVERAGING, averaging_rows(wanted, store))
    write_rows(layout.subsets, SUBSETS, subset_rows(wanted, store))
    write_gallery(layout.gallery, wanted, store, facts)
    if captioned:
        write_captions(layout.gallery, wanted, store, ImageStore.open(layout.processed(wanted[0].dataset)))


def _sweep(
    config: Config,
    layout: Layout,
    store: TrialStore,
    resources: Resources,
    dashboard: str,
    wanted: Sequence[Trial],
    pending: Sequence[Trial],
) -> tuple[Tracker, dict[str, str], bool]:
    """Runs the pending trials, MLflow told of all; what told it, why which failed, and whether it was stopped."""
    reused = len(wanted) - len(pending)
    device = set_up(resources.cpus, resources.gpus > 0 and bool(gpus()))  # a cluster's GPUs need not be here
    with Live() as live:
        costs = Costs(wanted, store, layout, device, budget=PROBE_SECONDS, each_proportion=False)
        expected = longest_first(pending, costs)
        resources = shared(config.params.compute, resources, costs, pending, live)
        live.note(f"{len(wanted)} trials: {reused} reused, {len(pending)} to run, {resources}")
        if any(contract.SYSTEMS.get(trial.system).learns == contract.CAPTIONS for trial in pending) and java() is None:
            live.note(NO_JAVA)
        show_pages(live, config, dashboard)
        tracker = Tracker(config, wanted, store)
        progress, stopped = Progress(expected, resources.workers, reused), False
        try:
            if pending:
                by_name = {trial.identity: trial for trial in pending}
                ordered = [by_name[identity] for identity in expected]
                limits = {name: epoch_limit(config, seconds) for name, seconds in expected.items()}
                sweep.run(ordered, store, layout, resources, limits, progress, tracker, live)
                stopped = len(progress.ended) < len(pending)
        except KeyboardInterrupt:
            stopped = True
        finally:
            live.show("waiting for MLflow")
            tracker.close()
    return tracker, progress.failed, stopped


def show_pages(live: Live, config: Config, dashboard: str) -> None:
    """Links the pages on which this work can be looked at."""
    if dashboard:
        live.link("Ray's dashboard", dashboard)
    uri = masked(tracking_uri(config))
    if uri.startswith("http"):
        live.link("MLflow", uri)
    else:
        live.note(f"MLflow: {uri} (`make ui` shows it)")


def _facts(
    config: Config, command: str, resources: Resources, seconds: float, wanted: Sequence[Trial], store: TrialStore
) -> dict[str, Any]:
    finished = time.time()
    results = [result for trial in wanted if (result := store.folder(trial.identity).result())]
    return {
        "dataset": config.dataset,
        "profile": config.params.profile,
        "command": command,
        "params": config.resolved(),
        "versions": versions(),
        **revision(),
        "machine": machine(gpus()),
        "workers": resources.workers,
        "started": _clock(finished - seconds),
        "finished": _clock(finished),
        "wall_seconds": seconds,
        "trial_seconds": sum(result["seconds"] for result in results),
    }


def _clock(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def _say(
    rows: Sequence[Row], facts: Mapping[str, Any], tracker: Tracker, stopped: bool, seconds: float, layout: Layout
) -> None:
    reused = facts["trials"]["reused"]
    again = f" ({reused} of them before)" if reused else ""
    _say_of(rows, f"{_told(rows)}{again} in {duration(seconds)}: {layout.results}", tracker)
    if stopped:
        print("stopped half-way: `python -m experiments run` goes on from here")


def _told(rows: Sequence[Row]) -> str:
    return ", ".join(f"{count} {status}" for status, count in _counts(rows).items() if count or status == "done")


def _say_of(rows: Sequence[Row], first: str, tracker: Tracker) -> None:
    """The line, and then what went wrong, and what to do about it."""
    print(first)
    failures = [found for found in rows if found["status"] == "failed"]
    for failed in failures:
        xi = f" ξ={failed['xi']}" if failed["xi"] else ""
        name = f"{failed['system']} at {failed['proportion']:g}{xi}, seed {failed['seed']}"
        print(f"failed: {failed['trial_id']} ({name}): {failed['reason']}")
    if failures:
        print("failed trials are tried again by the same command")
    if tracker.trouble:
        print(
            f"MLflow missed part of this sweep ({tracker.trouble}); "
            "nothing else is lost: `python -m experiments sync` logs it"
        )
