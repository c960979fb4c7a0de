"""Searches, from params.yaml to the evidence that they leave in git."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from data.errors import RunFailed, UserError
from data.secrets import masked
from experiments.compute.ray_tune import on_ray
from experiments.compute.resources import Resources, gpus
from experiments.learning.device import set_up
from experiments.provenance import unknown_revision
from experiments.search import driver, evidence, storage
from experiments.search.mlflow_thread import SearchTracker
from experiments.search.optuna_study import Study
from experiments.search.progress import SearchProgress
from experiments.search.protocol import Protocol, Setting
from experiments.settings.config import Config
from experiments.sweep.cost import Costs
from experiments.sweep.live_line import Live, duration
from experiments.sweep.run import PROBE_SECONDS, longest_first, resources_at, show_pages
from experiments.tracking.server import check_tracking, tracking_uri
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout


def chosen_systems(config: Config, systems: Sequence[str], everything: bool) -> list[str]:
    """Returns the systems that were asked for, each once.

    UserError where one has no space, or one that leaves out its settings in use, or where none is named.
    """
    if config.params.search is None:
        raise UserError(f"{config.origin} has no section `search`: it says what to search, and how")
    if reported := [each for each in config.params.search.repetitions if each < config.profile.repetitions]:
        raise UserError(
            f"{config.origin}: search.repetitions = {config.params.search.repetitions}: profile "
            f"{config.params.profile!r} reports repetition {reported[0]}: settings must be found on others, from "
            f"{config.profile.repetitions} on"
        )
    known = ", ".join(config.spaces)
    if bool(systems) == everything:
        raise UserError(f"name systems to find settings for, or all of them by --all: known are {known}")
    for system in systems:
        if system not in config.spaces:
            raise UserError(f"system {system!r} has no space in search.spaces of {config.origin}: known are {known}")
    chosen = list(dict.fromkeys(systems or config.spaces))
    for system in chosen:
        config.check_searchable(system)
    return chosen


def run_searches(config: Config, layout: Layout, systems: Sequence[str], address: str | None = None) -> bool:
    """Tries settings of each system until its budget is reached, and prints what was found.

    Returns False where the search was stopped half-way. UserError, before any setting is tried, where something cannot
    work; RunFailed where nothing runs any more on Ray.

    Args:
        config: the settings.
        layout: where data, store and evidence are.
        systems: names of systems that have a space.
        address: the Ray cluster that tries the settings, or None for this machine.
    """
    if address and address.startswith(("http://", "https://")):
        raise UserError(
            f"--address {masked(address)}: a search is not sent as a job: name the cluster's HOST:PORT, or auto"
        )
    search = config.params.search
    assert search is not None
    store = layout.search_store
    protocols = [Protocol(config, layout, system) for system in systems]
    names = [protocol.name for protocol in protocols]
    check_tracking(tracking_uri(config))
    with (
        resources_at(config, layout, address) as (resources, dashboard),
        store.locked(),
        storage.opened(search.storage, layout.searches, names) as studies_at,
    ):
        studies = [Study(protocol, studies_at) for protocol in protocols]
        device = set_up(resources.cpus, resources.gpus > 0 and bool(gpus()))  # a cluster's GPUs may be elsewhere
        with Live() as live:
            show_pages(live, config, dashboard)
            if unknown := unknown_revision():
                live.note(unknown)
            expected = [_expected(study, store, device) / resources.workers for study in studies]
            for study, seconds in zip(studies, expected, strict=True):
                live.note(_plan(study, resources, seconds))
            texts: dict[str, str] = {}  # what is said of each system
            trouble = ""

            def search_each() -> None:
                for protocol, seconds in zip(protocols, expected, strict=True):
                    study = Study(protocol, studies_at)  # anew: it tries again what an earlier Ray left half-way
                    if study.left or protocol.system not in texts:
                        texts[protocol.system] = _search(config, study, store, resources, seconds, live, not address)
                    if study.left:
                        return

            try:
                if any(study.left for study in studies):
                    on_ray(resources, not address, live.note, search_each)
                else:
                    search_each()
            except RunFailed as error:
                trouble = str(error)
            store.confirm_held()
    print("\n\n".join(texts.values()))
    if trouble:
        raise RunFailed(f"{trouble}; what is done is kept: the same command goes on from here")
    return not any(study.left for study in studies)


def _expected(study: Study, store: TrialStore, device: torch.device) -> float:
    """Returns the seconds of one worker for the settings that are left, if each costs what those in params.yaml do."""
    protocol = study.protocol
    if not study.left:
        return 0.0
    trials = protocol.trials(protocol.shipped)
    store.fetch([trial.identity for trial in trials])
    costs = Costs(trials, store, protocol.layout, device, budget=PROBE_SECONDS, each_proportion=False)
    seconds = longest_first(trials, costs)
    shares = zip(trials, protocol.expected_cells(), strict=True)
    return study.left * sum(share * seconds[trial.identity] for trial, share in shares)


def _plan(study: Study, resources: Resources, seconds: float) -> str:
    protocol, left = study.protocol, study.left
    known = f"{protocol.system}: {len(study.settings())} settings known"
    if not left:
        return f"{known}, none to try"
    return f"{known}, {left} to try on {protocol.cells} cells each, {resources}: about {duration(seconds)}"


def _search(
    config: Config, study: Study, store: TrialStore, resources: Resources, seconds: float, live: Live, own: bool
) -> str:
    """Searches one system and returns the text that is printed about it; `own`: whether Ray is this machine's own."""
    protocol, tracker = study.protocol, SearchTracker(config, study, store)
    progress = SearchProgress(protocol.system, study.settings(), study.left, seconds)

    def on_change(setting: Setting) -> None:
        progress.update(setting)
        tracker.update(setting)

    try:
        if study.left:
            layout = replace(protocol.layout, lease=store.lease)
            driver.try_settings(study, layout, resources, on_change, lambda: str(progress), live, own)
    except KeyboardInterrupt:  # before Tune had begun to handle it
        pass
    finally:
        live.show("waiting for MLflow")
        tracker.close()
    lines, settings = [], study.settings()
    if study.left:
        lines.append(
            f"{protocol.system}: stopped with {study.left} of {protocol.budget} settings to try: "
            f"`python -m experiments search {protocol.system}` goes on from here"
        )
    else:
        evidence.write_evidence(protocol, settings)
        lines.append(evidence.advice(protocol, settings))
        lines.append(f"all that were tried: {protocol.evidence / protocol.system}.csv")
    if tracker.trouble:
        lines.append(
            f"MLflow missed part of this search ({tracker.trouble}); "
            f"nothing else is lost: `python -m experiments search {protocol.system}` logs it"
        )
    return "\n".join(lines)
