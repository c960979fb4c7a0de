"""Runs a study: measures the cells that are missing, one per Ray worker, and writes the tables."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from data.errors import UserError
from experiments.compute.ray_tune import own_ray
from experiments.compute.resources import Resources, of_this_machine
from experiments.files import read_json, write_csv, write_json
from experiments.learning.device import set_up
from experiments.settings.config import Config
from experiments.studies.contract import STUDIES, Cell, Effort, Row, Study
from experiments.sweep.live_line import Live, duration
from experiments.sweep.progress import Progress
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout

POLL_SECONDS = 0.25


def run_study(config: Config, layout: Layout, name: str, effort: Effort, evidence: Path) -> bool:
    """Measures the cells that the store does not have yet and writes the study's tables.

    Returns False where it was stopped half-way. UserError, before anything starts, where it cannot work, and UserError
    with the reason where a cell fails. Cells that were measured before are kept in every case.

    Args:
        config: the settings.
        layout: where data and store are.
        name: the study's.
        effort: how much work to put in.
        evidence: folder of the tables.
    """
    study, resources, started = STUDIES.get(name), of_this_machine(config.params.compute), time.monotonic()
    cells = study.cells(config, layout, effort)
    kept = {cell.identity: layout.store / "studies" / name / f"{cell.identity}.json" for cell in cells}
    with TrialStore(layout.store).locked(), Live() as live:  # a sweep at the same time would spoil the timings
        pending = [cell for cell in cells if measured_rows(kept[cell.identity]) is None]
        live.note(f"{len(cells)} cells: {len(cells) - len(pending)} reused, {len(pending)} to measure, {resources}")
        try:
            if pending:
                _measure(pending, layout.absolute(), resources, kept, len(cells) - len(pending), live)
        except KeyboardInterrupt:
            return False
    _write_tables(study, cells, kept, evidence)
    files = ", ".join(str(evidence / f"{table}.csv") for table in study.tables)
    print(f"{len(pending)} cells measured in {duration(time.monotonic() - started)}: {files}")
    return True


def _measure(
    cells: Sequence[Cell], layout: Layout, resources: Resources, kept: Mapping[str, Path], reused: int, live: Live
) -> None:
    """Measures the cells, longest first, as many at once as there are workers; each has cores of its own."""
    ordered = sorted(cells, key=lambda cell: -cell.expected)
    progress = Progress({cell.identity: cell.expected for cell in ordered}, resources.workers, reused)
    with own_ray(resources):
        import ray

        remote = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus)(_rows)
        waiting = deque(ordered)
        running: dict[Any, Cell] = {}  # by Ray's references
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
    """Measures a cell in a worker, which finds the study by name and the data by path."""
    return STUDIES.get(cell.study).measure(cell, layout, set_up(threads, gpu))


def _write_tables(study: Study, cells: Sequence[Cell], kept: Mapping[str, Path], evidence: Path) -> None:
    for table, columns in study.tables.items():
        files = [kept[cell.identity] for cell in cells if cell.table == table]
        rows = [_plain(row) for file in files for row in measured_rows(file) or ()]
        write_csv(evidence / f"{table}.csv", columns, rows)


def measured_rows(file: Path) -> list[Row] | None:
    """Returns the rows that were measured for a cell; None where the file is missing, damaged or something else."""
    rows = (read_json(file) or {}).get("rows")
    return rows if isinstance(rows, list) and all(isinstance(row, dict) for row in rows) else None


def _plain(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a row with floats cut to six digits, more than any of these measurements has."""
    return {name: f"{value:.6g}" if isinstance(value, float) else value for name, value in row.items()}
