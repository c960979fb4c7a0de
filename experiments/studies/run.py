"""Running a study: cells that are not measured yet, one a worker, with Ray; then its tables, whole."""

from __future__ import annotations

import csv
import io
import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.errors import UserError
from experiments.compute.ray_tune import local_ray
from experiments.compute.resources import Resources, here
from experiments.files import read_json, write_json, write_whole
from experiments.learning.device import set_up
from experiments.settings.config import Config
from experiments.studies.contract import STUDIES, Cell, Effort, Row, Study
from experiments.sweep.live_line import Live, duration
from experiments.sweep.progress import Progress
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout

POLL_SECONDS = 0.25


def run(config: Config, layout: Layout, name: str, effort: Effort, evidence: Path) -> bool:
    """Measures what the store does not have yet, then writes the study's tables into `evidence`; False where it was
    stopped half-way.

    UserError before anything starts where it cannot work, and UserError with its reason where
    a cell fails. Cells measured before are kept either way.
    """
    study, resources, started = STUDIES.get(name), here(config.params.compute), time.monotonic()
    cells = study.cells(config, layout, effort)
    kept = {cell.identity: layout.store / "studies" / name / f"{cell.identity}.json" for cell in cells}
    with TrialStore(layout.store).alone(), Live() as live:  # what else computes here would be in the timings
        pending = [cell for cell in cells if read_json(kept[cell.identity]) is None]
        live.note(f"{len(cells)} cells: {len(cells) - len(pending)} reused, {len(pending)} to measure, {resources}")
        try:
            if pending:
                _measure(pending, layout.absolute(), resources, kept, len(cells) - len(pending), live)
        except KeyboardInterrupt:
            return False
    _write_tables(study, cells, kept, evidence)
    told = ", ".join(str(evidence / f"{table}.csv") for table in study.tables)
    print(f"{len(pending)} cells measured in {duration(time.monotonic() - started)}: {told}")
    return True


def _measure(
    cells: Sequence[Cell], layout: Layout, resources: Resources, kept: Mapping[str, Path], reused: int, live: Live
) -> None:
    """Runs the cells, longest first, as many at once as there are workers: each has its cores to itself."""
    ordered = sorted(cells, key=lambda cell: -cell.expected)
    progress = Progress({cell.identity: cell.expected for cell in ordered}, resources.workers, reused)
    with local_ray(resources):
        import ray

        remote = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus)(_rows)
        waiting, running = deque(ordered), {}
        while waiting or running:
            while waiting and len(running) < resources.workers:
                cell = waiting.popleft()
                running[remote.remote(cell, layout, resources.cpus, resources.gpus > 0)] = cell
                progress.begin(cell.identity)
            for done in ray.wait(list(running), timeout=POLL_SECONDS)[0]:
                cell = running.pop(done)
                try:
                    rows = ray.get(done)
                except Exception as error:  # the worker's own, in Ray's wrapping
                    cause = getattr(error, "cause", None) or error
                    raise UserError(
                        f"{cell} failed: {type(cause).__name__}: {cause}; what was measured before is kept"
                    ) from error
                write_json(kept[cell.identity], {"cell": str(cell), "rows": rows})
                progress.end(cell.identity)
            if live.due:
                live.show(str(progress))


def _rows(cell: Cell, layout: Layout, threads: int, gpu: bool) -> list[Row]:
    """What a worker does: it finds the study by name, and the data by path."""
    return STUDIES.get(cell.study).measure(cell, layout, set_up(threads, gpu))


def _write_tables(study: Study, cells: Sequence[Cell], kept: Mapping[str, Path], evidence: Path) -> None:
    for table, columns in study.tables.items():
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, columns, lineterminator="\n")
        writer.writeheader()
        for cell in cells:
            if cell.table == table:
                writer.writerows(_plain(row) for row in read_json(kept[cell.identity])["rows"])
        write_whole(evidence / f"{table}.csv", lambda stream, text=text: stream.write(text.getvalue().encode()))


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Six digits are more than any of these measurements has."""
    return {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
