"""Tables for people: what would run and what it would cost, and where a sweep stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from rich.console import Console
from rich.progress import track
from rich.table import Table

from experiments.cost import Costs
from experiments.grid import Trial, percent, xi_text
from experiments.live import duration
from experiments.resources import Resources
from experiments.trials import STATUSES, TrialStore


def _groups(trials: Sequence[Trial]) -> dict[tuple[str, str, str], list[Trial]]:
    """Trials by what a row of a table shows: system, proportion and ξ, the repetitions together."""
    groups: dict[tuple[str, str, str], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.system, percent(trial.proportion), xi_text(trial.xi)), []).append(trial)
    return groups


def print_plan(trials: Sequence[Trial], store: TrialStore, costs: Costs, resources: Resources) -> None:
    """Prints what `run` would do: for each system, proportion and ξ how many trials, and what they would cost."""
    table = Table("system", "labelled", "ξ", "reused", "to run", "s a trial", "s in all")
    for column in table.columns[3:]:
        column.justify = "right"
    pending, total = 0, 0.0
    groups = _groups(trials)
    console = Console(stderr=True)
    for names, group in track(groups.items(), "measuring", console=console, transient=True):
        new = [trial for trial in group if store.folder(trial.identity).result() is None]
        cells = ["", ""]
        if new:
            seconds = costs.seconds(new[0])
            pending, total = pending + len(new), total + seconds * len(new)
            cells = [f"{'' if costs.is_measured(new[0]) else '≈ '}{seconds:.1f}", f"{seconds * len(new):.0f}"]
        table.add_row(*names, str(len(group) - len(new)), str(len(new)), *cells)
    out = Console()
    out.print(table)
    out.print(
        f"{len(trials)} trials: {len(trials) - pending} reused, {pending} to run, {resources}: "
        f"about {duration(total / resources.workers)} ({duration(total)} of one worker)",
        highlight=False,
        soft_wrap=True,
    )


def print_status(trials: Sequence[Trial], store: TrialStore) -> None:
    """Prints how many trials are done, running, failed and missing, for each system and proportion, and what to do."""
    table = Table("system", "labelled", "ξ", *STATUSES)
    for column in table.columns[3:]:
        column.justify = "right"
    total: Counter[str] = Counter()
    failed = []
    for names, group in _groups(trials).items():
        found = [store.folder(trial.identity).status for trial in group]
        counts = Counter(found)
        failed += [trial for trial, status in zip(group, found, strict=True) if status == "failed"]
        total += counts
        table.add_row(*names, *(str(counts[status] or "") for status in STATUSES))
    table.add_section()
    table.add_row("all", "", "", *(str(total[status]) for status in STATUSES))
    out = Console(highlight=False, soft_wrap=True)
    out.print(table)
    for trial in failed:
        reason = (store.folder(trial.identity).failure() or {}).get("reason", "")
        out.print(f"failed: {trial.identity} ({trial}): {reason}", markup=False)
    if total["running"]:
        out.print("a sweep is running; this is where it stands now")
    elif total["done"] < len(trials):
        out.print("`python -m experiments run` runs what is not done")
