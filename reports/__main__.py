"""`python -m reports`: makes tables, figures and pages from results.csv, the files beside it, and the evidence."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Annotated

import typer

from reports.analysis.statistics import count_statuses
from reports.artefacts.contract import makers
from reports.errors import UserError
from reports.files import write_all
from reports.foreign_text import one_line
from reports.inputs.sources import read_sources
from reports.page import page
from reports.version import print_versions

app = typer.Typer(
    add_completion=not sys.argv[0].endswith("__main__.py"),  # shells complete a command's name, not `python -m`
    pretty_exceptions_enable=False,
)


def build(results: Path, gallery: Path, evidence: Path, out: Path) -> tuple[list[Path], dict[str, int]]:
    """Makes every artefact, then writes all files, the page last.

    Returns:
        The paths of the files, and the number of trials by status.

    Raises:
        UserError: an input is missing or wrong, or the folder `out` cannot be written.
    """
    sources = read_sources(results, gallery, evidence)
    artefacts = {name: maker(sources) for name, maker in makers([sources.kind.learns]).items()}
    files = {path: content for artefact in artefacts.values() for path, content in artefact.files.items()}
    title = f"Learning from images and a few {sources.kind.learns}: {sources.sweep.dataset}"
    files["index.html"] = page(title, artefacts)
    return write_all(out, files), count_statuses(sources.results)


@app.command()
def report(
    results: Annotated[Path, typer.Option(help="The results table, one row a trial.")] = Path(
        "experiments/results.csv"
    ),
    gallery: Annotated[Path, typer.Option(help="The folder with sweep.json and its pictures.")] = Path(
        "experiments/gallery"
    ),
    evidence: Annotated[
        Path, typer.Option(help="The folder with the studies of estimators and settings; any may be absent.")
    ] = Path("experiments/evidence"),
    out: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("reports"),
    version: Annotated[
        bool, typer.Option("--version", callback=print_versions, is_eager=True, help="Show the versions and end.")
    ] = False,
) -> None:
    """Turns the results of a sweep into tables, figures and two pages.

    Reads averaging.csv, subsets.csv and predictions.csv.gz beside RESULTS too, where there are any. Writes, under OUT:
    index.html and answer.html, pages that need nothing else, and answer.md; tables/ (csv, md, tex,
    html); figures/ (png, svg, pdf, and examples.html, a page of captioned test images, where there are
    captions); metrics.json and plots/ for DVC. Trials that failed or are missing stay visible as gaps.
    Nothing is run, and the same results give the same bytes.

    Example, for results that came from a cluster:

    python -m reports --results cluster/results.csv --gallery cluster/gallery --out cluster/report
    """
    try:
        paths, counts = build(results, gallery, evidence, out)
    except UserError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        raise typer.Exit(2) from None
    for path in paths:
        print(path)
    print(f"{sum(counts.values())} trials: " + ", ".join(f"{n} {status}" for status, n in counts.items()))


def main() -> None:
    """Runs the command line."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a letter that its encoding lacks is written as an escape
            stream.reconfigure(errors="backslashreplace")
    app()


if __name__ == "__main__":
    main()
