"""Tables for people: what a sweep would run and what it would cost, and how far it is."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterable, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.progress import track
from rich.table import Table
from rich.text import Text

from experiments.compute.resources import Resources
from experiments.sweep.cost import Costs
from experiments.sweep.live_line import duration
from experiments.trial_store.contents import RESULT, STATUSES
from experiments.trial_store.folders import ASIDE, TrialStore
from experiments.trials.grid import Trial, percent, xi_text

LEVEL = 0.05  # of significance, in the report too
FEWEST = math.ceil(math.log2(1 / LEVEL))  # repetitions with which a claim can be told: p is at best 1/2ⁿ
LARGE_GAP = 5  # points; differences of systems are mostly smaller
WATCH_SECONDS = 2.0  # between two updates, at least


def _groups(trials: Sequence[Trial]) -> dict[tuple[str, str, str], list[Trial]]:
    """Returns trials by the row of a table that they belong to: system, proportion and ξ."""
    groups: dict[tuple[str, str, str], list[Trial]] = {}
    for trial in trials:
        groups.setdefault((trial.system, percent(trial.proportion), xi_text(trial.xi)), []).append(trial)
    return groups


def result_faults(trials: Iterable[Trial], store: TrialStore) -> list[str]:
    """Returns a line for each trial whose result is there and does not hold: which value is wrong, and what follows."""
    return [
        f"{fault}: {trial} counts as not done; when it is run again, this file is kept as {RESULT}{ASIDE}-N"
        for trial in trials
        if (fault := store.folder(trial.identity).result_fault())
    ]


def print_plan(trials: Sequence[Trial], store: TrialStore, costs: Costs, resources: Resources) -> None:
    """Prints, for each system, proportion and ξ, how many trials `run` would run and what they would cost."""
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
    for line in result_faults(trials, store):
        out.print(Text(line), soft_wrap=True)
    out.print(
        f"{len(trials)} trials: {len(trials) - pending} reused, {pending} to run, {resources}: "
        f"about {duration(total / resources.workers)} ({duration(total)} of one worker)",
        highlight=False,
        soft_wrap=True,
    )
    out.print(what_can_be_told(len({trial.seed for trial in trials})), highlight=False, soft_wrap=True)


def what_can_be_told(repetitions: int) -> str:
    """Returns a line that says what the report's sign-flip tests can show at best with so many repetitions.

    All signs the same is the strongest evidence that n paired differences can give: p is 1/2^n for a claim, which has a
    direction, and twice that for a difference, in a family of comparisons of any size.
    """
    claim, difference = 0.5**repetitions, min(1.0, 2 * 0.5**repetitions)
    if difference <= LEVEL:
        verdict = "claims and differences can be told"
    elif claim <= LEVEL:
        verdict = "claims can be told, differences of two systems cannot: they need 6 repetitions"
    else:
        verdict = "nothing can be told: claims need 5 repetitions, differences of two systems 6"
    of = f"{repetitions} repetition{'' if repetitions == 1 else 's'}"
    return f"{of}: p is at best {claim:.2g} for a claim and {difference:.2g} for a difference, so {verdict}"


def what_images_can_tell(images: int) -> str:
    """Returns a line that says what so many test images can show of two trained models.

    The report's McNemar test looks at the images about which one model alone is right. All in favour of one model is
    the strongest evidence that m of them can give, p = 2/2^m.
    """
    needed = math.ceil(math.log2(2 / LEVEL))
    points = 100 * needed / images
    verdict = f"two trained models that differ by less than {points:.2g} points cannot be told apart"
    small = f": more than {LARGE_GAP:g}, so the test part is too small" if points > LARGE_GAP else ""
    return f"{images:,} test images: {verdict}{small}"


def standing(trials: Sequence[Trial], store: TrialStore) -> Group:
    """Returns a table of how many trials are done, running, failed and missing, and lines on failures and remedies."""
    table = Table("system", "labelled", "ξ", *STATUSES)
    for column in table.columns[3:]:
        column.justify = "right"
    store.fetch([trial.identity for trial in trials])
    total: Counter[str] = Counter()
    lines = []
    for names, group in _groups(trials).items():
        statuses = {trial.identity: store.folder(trial.identity).status for trial in group}
        counts = Counter(statuses.values())
        for trial in group:
            if statuses[trial.identity] == "failed":
                reason = (store.folder(trial.identity).failure() or {}).get("reason", "")
                lines.append(f"failed: {trial.identity} ({trial}): {reason}")
        total += counts
        table.add_row(*names, *(str(counts[status] or "") for status in STATUSES))
    table.add_section()
    table.add_row("all", "", "", *(str(total[status]) for status in STATUSES))
    lines += result_faults(trials, store)
    if total["failed"]:
        lines.append("`python -m experiments log ID` shows what became of a trial")
    if total["running"]:
        lines.append("a sweep is running; the table shows its state now")
    elif total["done"] < len(trials):
        lines.append("`python -m experiments run` runs what is not done")
    return Group(table, *(Text(line, overflow="fold") for line in lines))


def print_status(trials: Sequence[Trial], store: TrialStore) -> None:
    """Prints the state of the trials."""
    console = Console(highlight=False, soft_wrap=True)
    for part in standing(trials, store).renderables:  # one by one: within a group, long lines are cut off
        console.print(part)


def watch_status(trials: Sequence[Trial], store: TrialStore) -> None:
    """Shows the state of the trials, again and again, until all are done or Ctrl-C is pressed."""
    with Live(standing(trials, store), auto_refresh=False) as live:
        while any(store.folder(trial.identity).result() is None for trial in trials):
            started = time.monotonic()
            live.update(standing(trials, store), refresh=True)
            # A large store takes long to read, which may fill a fifth of the time.
            time.sleep(max(WATCH_SECONDS, 4 * (time.monotonic() - started)))
        live.update(standing(trials, store), refresh=True)
