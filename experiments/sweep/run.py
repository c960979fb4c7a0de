"""A sweep, from its settings to results.csv and the gallery."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from data.errors import RunFailed, UserError
from data.labelled.splits import Splits
from data.prepared.store import ImageStore
from data.secrets import masked
from experiments.compute.resources import Resources, gpus, of_this_machine
from experiments.files import write_csv
from experiments.learning import contract
from experiments.learning.device import set_up
from experiments.provenance import unknown_revision
from experiments.settings.config import Config
from experiments.sweep.cost import Costs
from experiments.sweep.dispatch import dispatch
from experiments.sweep.gpu_sharing import share_gpus
from experiments.sweep.live_line import Live, duration
from experiments.sweep.overview import FEWEST, result_faults, what_can_be_told
from experiments.sweep.predictions import write_predictions
from experiments.sweep.progress import Progress
from experiments.sweep.results import (
    AVERAGING,
    CAPTIONED,
    COLUMNS,
    SUBSETS,
    averaging_rows,
    row,
    subset_rows,
    sweep_facts,
    write_captions,
    write_gallery,
)
from experiments.tracking.mlflow_thread import Tracker
from experiments.tracking.server import check_tracking, tracking_uri
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout
from experiments.trials.caption_scores import NO_JAVA, java
from experiments.trials.grid import Trial, trials

Row = dict[str, Any]
SHORTEST_LIMIT = 3600.0  # seconds that an epoch may take, at least, where the settings do not say
PATIENCE = 10  # an epoch may take so many times what its whole trial is expected to take
PROBE_SECONDS = 0.2  # for timing the steps of a system of which nothing is known


def longest_first(pending: Sequence[Trial], costs: Costs) -> dict[str, float]:
    """Returns expected seconds by identity, the longest first, so that no worker idles long at the end."""
    # The largest proportion first: the first trial of each system has its steps timed.
    by_labels = sorted(pending, key=lambda trial: -trial.proportion)
    seconds = {trial.identity: _expected(trial, costs) for trial in by_labels}
    return dict(sorted(seconds.items(), key=lambda item: -item[1]))


def _expected(trial: Trial, costs: Costs) -> float:
    try:
        return costs.seconds(trial)
    except UserError:
        raise
    except Exception:  # the trial will fail by itself, which costs the others nothing
        return 0.0


def epoch_limit(config: Config, expected: float) -> float:
    """Returns the seconds that an epoch may take: those of the settings, or far more than its trial should take."""
    return config.params.compute.epoch_seconds or max(SHORTEST_LIMIT, PATIENCE * expected)


@contextmanager
def resources_at(config: Config, layout: Layout, address: str | None) -> Iterator[tuple[Resources, str]]:
    """Yields what each trial gets, on the cluster at `address` or on this machine, and the address of its dashboard.

    This process is connected to the cluster in the block. Raises what `experiments.cluster.nodes.connected` raises.
    """
    if not address:
        yield of_this_machine(config.params.compute, spread=True), ""
        return
    from experiments.cluster.nodes import connected

    with connected(address, config.params.compute, layout, config.dataset) as connection:
        yield connection


@dataclass(frozen=True)
class _Outcome:
    """How the pending trials of a sweep ended."""

    tracker: Tracker  # closed
    failed: dict[str, str]  # reasons of failures by identity
    stopped: bool  # whether the sweep was stopped half-way
    stalled: str  # why nothing runs any more; "" where all was well


def run_sweep(config: Config, layout: Layout, command: str, address: str | None = None) -> bool:
    """Runs the trials of the active profile that the store does not have yet, and writes the results.

    Returns False where the sweep was stopped half-way. UserError, before any trial starts, where something cannot
    work; RunFailed where another sweep has taken over the store, or, after the results are written, where nothing runs
    any more on Ray.

    Args:
        config: the settings.
        layout: where data, trial store and results are.
        command: the command line, for the record.
        address: the Ray cluster that runs the trials, or None for this machine.
    """
    started = time.monotonic()
    wanted, store = trials(config, layout), layout.trial_store
    check_tracking(tracking_uri(config))
    with resources_at(config, layout, address) as (resources, dashboard), store.locked():
        store.fetch([trial.identity for trial in wanted])
        pending = [trial for trial in wanted if store.folder(trial.identity).result() is None]
        outcome = _run_pending(config, layout, store, resources, dashboard, wanted, pending)
        store.confirm_held()
        store.fetch([trial.identity for trial in pending])
        rows = [row(trial, store, outcome.tracker.runs, outcome.failed) for trial in wanted]
        facts = sweep_facts(config, command, resources, time.monotonic() - started, wanted, store)
        facts["trials"] = {**_counts(rows), "reused": len(wanted) - len(pending)}
        _write(layout, store, wanted, rows, facts)
        with suppress(OSError):  # a full disk, on which trials failed too and said so
            store.save_facts(_sweep_file(config), facts)
    reused = f" ({len(wanted) - len(pending)} of them before)" if len(wanted) > len(pending) else ""
    seconds = time.monotonic() - started
    _print_outcome(rows, f"{_counts_text(rows)}{reused} in {duration(seconds)}: {layout.results}", outcome.tracker)
    if config.profile.repetitions < FEWEST:
        print(what_can_be_told(config.profile.repetitions))
    if outcome.stalled:
        raise RunFailed(f"{outcome.stalled}; what is done is kept: `python -m experiments run` goes on from here")
    if outcome.stopped:
        print("stopped half-way: `python -m experiments run` goes on from here")
    return not outcome.stopped


def collect(config: Config, layout: Layout) -> None:
    """Writes results.csv and the gallery of the active profile's last sweep from the store alone; runs nothing.

    UserError where no sweep of the profile has ended on the store.
    """
    wanted, store = trials(config, layout), layout.trial_store
    store.fetch([trial.identity for trial in wanted])
    facts = store.facts(_sweep_file(config))
    if facts is None:
        raise UserError(f"no sweep of profile {config.params.profile!r} has ended on {store}")
    for line in result_faults(wanted, store):
        print(line)
    tracker = Tracker(config, wanted, store)
    tracker.close()
    rows = [row(trial, store, tracker.runs) for trial in wanted]
    _write(layout, store, wanted, rows, facts)
    _print_outcome(
        rows, f"{_counts_text(rows)}, brought here: {layout.results}; `python -m reports` makes the report", tracker
    )


def _sweep_file(config: Config) -> str:
    """Returns the name under which the store keeps the facts of the profile's last sweep."""
    return f"sweep-{config.dataset}-{config.params.profile}.json"


def _counts(rows: Sequence[Row]) -> dict[str, int]:
    return {status: sum(row["status"] == status for row in rows) for status in ("done", "failed", "missing")}


def _counts_text(rows: Sequence[Row]) -> str:
    return ", ".join(f"{count} {status}" for status, count in _counts(rows).items() if count or status == "done")


def _learns_captions(trials: Sequence[Trial]) -> bool:
    return any(trial.learned_by.learns == contract.CAPTIONS for trial in trials)


def _write(
    layout: Layout, store: TrialStore, wanted: Sequence[Trial], rows: Sequence[Row], facts: Mapping[str, Any]
) -> None:
    """Writes the files that the report reads."""
    captioned = _learns_captions(wanted)
    write_csv(layout.results, CAPTIONED if captioned else COLUMNS, rows)
    write_csv(layout.averaging, AVERAGING, averaging_rows(wanted, store))
    write_csv(layout.subsets, SUBSETS, subset_rows(wanted, store))
    write_gallery(layout.gallery, wanted, store, facts)
    images = ImageStore.open(layout.processed(wanted[0].dataset))
    test = Splits.open(layout.splits(wanted[0].dataset)).test
    left_out = write_predictions(layout.predictions, [] if captioned else wanted, store, images, test)
    if captioned:
        left_out += write_captions(layout.gallery, wanted, store, images)
    for line in left_out:
        print(line)


def _run_pending(
    config: Config,
    layout: Layout,
    store: TrialStore,
    resources: Resources,
    dashboard: str,
    wanted: Sequence[Trial],
    pending: Sequence[Trial],
) -> _Outcome:
    """Runs the pending trials; MLflow's record of all wanted trials is brought up to date."""
    reused = len(wanted) - len(pending)
    device = set_up(resources.cpus, resources.gpus > 0 and bool(gpus()))  # a cluster's GPUs may be elsewhere
    with Live() as live:
        costs = Costs(wanted, store, layout, device, budget=PROBE_SECONDS, each_proportion=False)
        expected = longest_first(pending, costs)
        resources = share_gpus(config.params.compute, resources, costs, pending, live)
        for line in result_faults(pending, store):
            live.note(line)
        live.note(f"{len(wanted)} trials: {reused} reused, {len(pending)} to run, {resources}")
        if _learns_captions(pending) and java() is None:
            live.note(NO_JAVA)
        show_pages(live, config, dashboard)
        if unknown := unknown_revision():
            live.note(unknown)
        tracker = Tracker(config, wanted, store)
        progress, stopped, stalled = Progress(expected, resources.workers, reused), False, ""
        try:
            if pending:
                by_name = {trial.identity: trial for trial in pending}
                ordered = [by_name[identity] for identity in expected]
                limits = {name: epoch_limit(config, seconds) for name, seconds in expected.items()}
                dispatch(ordered, store, layout, resources, limits, progress, tracker, live)
                stopped = len(progress.ended) < len(pending)
        except KeyboardInterrupt:
            stopped = True
        except RunFailed as error:
            stalled = str(error)
        finally:
            live.show("waiting for MLflow")
            tracker.close()
    return _Outcome(tracker, progress.failed, stopped, stalled)


def show_pages(live: Live, config: Config, dashboard: str) -> None:
    """Links the pages that show this work, Ray's dashboard and MLflow's."""
    if dashboard:
        live.link("Ray's dashboard", dashboard)
    uri = masked(tracking_uri(config))
    if uri.startswith("http"):
        live.link("MLflow", uri)
    else:
        live.note(f"MLflow: {uri} (`make ui` shows it)")


def _print_outcome(rows: Sequence[Row], summary: str, tracker: Tracker) -> None:
    """Prints the summary, then what went wrong and what to do about it."""
    print(summary)
    failures = [row for row in rows if row["status"] == "failed"]
    for failed in failures:
        xi = f" ξ={failed['xi']}" if failed["xi"] else ""
        name = f"{failed['system']} at {failed['proportion']:g}{xi}, seed {failed['seed']}"
        print(f"failed: {failed['trial_id']} ({name}): {failed['reason']}")
    if failures:
        print("failed trials are tried again by the same command")
    doubted = Counter((row["system"], row["proportion"], row["xi"], row["doubts"]) for row in rows if row["doubts"])
    for (system, proportion, xi, doubts), count in doubted.items():
        at = f"{system} at {proportion:g}{f' ξ={xi}' if xi else ''}"
        print(f"doubtful: {at}, {count} trial{'' if count == 1 else 's'}: {doubts}")
    if tracker.trouble:
        print(
            f"MLflow missed part of this sweep ({tracker.trouble}); "
            "nothing else is lost: `python -m experiments sync` logs it"
        )
