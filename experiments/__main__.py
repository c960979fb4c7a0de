"""`python -m experiments`: run, plan, status, log, trial, search, study, check, data, sync."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from pathlib import Path
from types import TracebackType
from typing import Annotated, Literal

import typer

from data.errors import UserError
from data.output import write_every_letter
from data.signals import sigterm_as_sigint
from data.version import print_versions
from experiments.options import PARAMS, STORE, Changes, Params, Project, Store, with_project

# PyTorch, Ray and MLflow take seconds to import: each command imports what it needs, when it needs it.

PLAN_SECONDS = 0.5  # for the steps of one system at one proportion
STOPPED = 130  # exit code of a command that SIGINT ended
app = typer.Typer(
    help="Trials and sweeps of labelled proportions, kept in a store and in MLflow.",
    no_args_is_help=True,
    add_completion=not sys.argv[0].endswith("__main__.py"),  # shells complete a command's name, not `python -m`
    pretty_exceptions_enable=False,
)
Address = Annotated[
    str | None,
    typer.Option(
        envvar="RAY_ADDRESS",
        help="of a Ray cluster: HOST:PORT or auto, or http://HOST:8265 for a job; otherwise this machine",
    ),
]
EVIDENCE = Path("experiments/evidence")


@app.callback()
def about(
    version: Annotated[
        bool,
        typer.Option("--version", callback=print_versions, is_eager=True, help="show the versions and end"),
    ] = False,
) -> None:
    """Holds the options that stand before a command."""


@app.command()
@with_project
def run(
    project: Project,
    address: Address = None,
    complete: Annotated[
        bool, typer.Option("--complete", help="end with exit code 1 where a trial is not done; for pipelines")
    ] = False,
) -> None:
    """Runs the trials that the active profile asks for and that are not done; writes results.csv and the gallery.

    On a cluster, every node needs the project's dependencies. It must see the
    data and the trial store, either under the same paths as this machine or at
    a URI, from which each node fetches its own copy. The code is sent along.
    This process writes to MLflow. With http://HOST:8265, the address of Ray's
    dashboard, the whole sweep is sent there as a job (see `submit`), and only
    its results come back.
    """
    if address and address.startswith(("http://", "https://")):
        _submit(project, address)
    else:
        config = project.config
        from data.secrets import masked
        from experiments.sweep import run as sweep

        command = masked(f"python -m experiments {shlex.join(sys.argv[1:])}")
        if not sweep.run_sweep(config, project.layout, command, address):
            raise typer.Exit(STOPPED)
    if complete:
        _end_unless_complete(project.layout.results)


def _end_unless_complete(results: Path) -> None:
    """Ends the command with exit code 1 where results.csv has trials that are not done."""
    from experiments.sweep.results import undone

    if left := undone(results):
        print(
            f"error: {left} trials are not done; what is done is kept, and `python -m reports` shows it",
            file=sys.stderr,
        )
        raise typer.Exit(1)


@app.command()
@with_project
def submit(
    project: Project,
    address: Annotated[
        str, typer.Option(envvar="RAY_API_SERVER_ADDRESS", help="of the cluster's dashboard")
    ] = "http://127.0.0.1:8265",
) -> None:
    """Sends the sweep to a running Ray cluster as a job, follows it, and writes results.csv and the gallery here.

    Ctrl-C leaves the job running: the same command follows it again. Once the
    job has ended, the same command sends one that has nothing left to run, and
    brings the results here. `ray job stop ID` stops a job. MLflow must be a
    server that the cluster reaches (MLFLOW_TRACKING_URI). The trial store and
    the data must be on an object store, or in folders that this machine and
    every node see under the same path.

    Example:
    `submit --address http://head:8265 --store s3://bucket/trials --data s3://bucket/data`
    """
    _submit(project, address)


def _submit(project: Project, address: str) -> None:
    config = project.config
    from experiments.cluster import jobs
    from experiments.sweep import run as sweep

    try:
        jobs.submit_job(config, project.layout, address)
    except KeyboardInterrupt:
        print("the job goes on: the same command follows it, and brings its results here at the end")
        raise typer.Exit(STOPPED) from None
    sweep.collect(config, project.layout)


@app.command()
@with_project
def plan(project: Project) -> None:
    """Shows which trials `run` would run, and what they would cost."""
    from data.labelled.splits import Splits
    from experiments.compute.resources import of_this_machine
    from experiments.learning.device import set_up
    from experiments.sweep.cost import Costs
    from experiments.sweep.overview import print_plan, what_images_can_tell
    from experiments.trials.grid import trials

    config, layout = project.config, project.layout
    wanted, store = trials(config, layout), layout.trial_store
    resources = of_this_machine(config.params.compute, spread=True)
    store.fetch([trial.identity for trial in wanted])
    device = set_up(resources.cpus, resources.gpus > 0)
    costs = Costs(wanted, store, layout, device, budget=PLAN_SECONDS, each_proportion=True)
    print_plan(wanted, store, costs, resources)
    splits = Splits.open(layout.splits(config.dataset))
    if splits.classes:
        print(what_images_can_tell(len(splits.test)))


@app.command()
@with_project
def status(
    project: Project,
    watch: Annotated[bool, typer.Option("--watch", help="look again and again, until all are done")] = False,
) -> None:
    """Shows which trials are done, running, failed and missing, and how to go on."""
    from experiments.sweep.overview import print_status, watch_status
    from experiments.trials.grid import trials

    project.check_store()
    wanted = trials(project.config, project.layout)
    try:
        (watch_status if watch else print_status)(wanted, project.layout.trial_store)
    except KeyboardInterrupt:
        raise typer.Exit(STOPPED) from None


@app.command()
def log(
    identity: Annotated[str, typer.Argument(metavar="ID", help="the start of a trial's identity")],
    store: Store = STORE,
) -> None:
    """Shows one trial: its settings, every epoch, and its result, or why and where it failed."""
    from experiments.trial_store.log import find, lines

    for line in lines(find(Project(store=store).layout.trial_store, identity)):
        print(line)


@app.command()
@with_project
def trial(
    project: Project,
    system: Annotated[str | None, typer.Option(help="its name in params.yaml")] = None,
    proportion: Annotated[float | None, typer.Option(help="of the training labels, above 0 and at most 1")] = None,
    xi: Annotated[str | None, typer.Option(help="auto or a number, for systems that use it")] = None,
    seed: Annotated[int, typer.Option(help="repetition, counted from 0", min=0)] = 0,
    identity: Annotated[
        str | None, typer.Option("--id", help="instead: the start of an identity in the profile")
    ] = None,
) -> None:
    """Runs one trial in this process, without Ray and MLflow."""
    from experiments.trials import foreground

    config, layout = project.config, project.layout
    if identity is not None:
        chosen = foreground.by_identity(config, layout, identity)
    else:
        chosen = foreground.by_cell(config, layout, system, proportion, xi, seed)
    try:
        foreground.run_in_foreground(config, layout, chosen)
    except KeyboardInterrupt:
        print("stopped half-way: the same command goes on from the last checkpoint")
        raise typer.Exit(STOPPED) from None


@app.command()
@with_project
def search(
    project: Project,
    systems: Annotated[list[str] | None, typer.Argument(help="those to find settings for", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="every system that has a space")] = False,
    address: Annotated[
        str | None,
        typer.Option(envvar="RAY_ADDRESS", help="of a Ray cluster, HOST:PORT or auto; otherwise this machine"),
    ] = None,
) -> None:
    """Finds settings on the validation part; the test part is never read.

    Section `search` of params.yaml says how many settings of each system are
    tried, at which proportions and repetitions (others than those reported),
    and from which spaces. The settings in use are tried first. Optuna's TPE
    draws the others, and successive halving stops the worse ones after each
    pass over the proportions.

    Nothing is computed twice. A search that was stopped goes on where it was
    when the same command is run again, and a larger `search.trials` adds to
    what was tried. The studies are kept in STORE/search, or in the PostgreSQL
    database that `search.storage` names, and shown in MLflow under
    DATASET-search. With --address the settings are tried on a Ray cluster, as
    by `run`.

    With `cost` in `search.objectives`, the operations of training count too:
    the search looks for the settings that no other setting beats in accuracy
    without costing more. With `search.warm_start: K`, the K best settings of
    earlier searches, also of another dataset, space or budget, are tried anew
    before any is drawn.

    At the end the best settings are printed as they go into params.yaml, and
    all that were tried are written to experiments/evidence/search/DATASET, to
    SYSTEM.csv and SYSTEM.json.

    Examples: `search bsvm`, `search alexnet googlenet`, `search --all`.
    """
    config = project.config
    from experiments.search import run as searches

    chosen = searches.chosen_systems(config, systems or [], everything)
    if not searches.run_searches(config, project.layout, chosen, address):
        raise typer.Exit(STOPPED)


@app.command()
@with_project
def study(
    project: Project,
    name: Annotated[str, typer.Argument(help="a file of experiments/studies, such as estimators")],
    seconds: Annotated[float, typer.Option(help="of each training that has equal time", min=0.1)] = 35.0,
    repetitions: Annotated[int, typer.Option(help="of each training", min=1)] = 3,
    gradients: Annotated[int, typer.Option(help="independent ones for each mean and variance", min=2)] = 150,
) -> None:
    """Makes the measurements of a study that are missing, and writes its tables into experiments/evidence.

    The study of estimators takes about ten minutes on two cores, which should have nothing else to do.
    Stopped, it goes on where it was when the same command is run again.
    """
    config = project.config
    from experiments.studies import run as studies
    from experiments.studies.contract import Effort

    if not studies.run_study(config, project.layout, name, Effort(seconds, repetitions, gradients), EVIDENCE):
        print("stopped half-way: the same command goes on with what is left")
        raise typer.Exit(STOPPED)


@app.command()
def check(params: Params = PARAMS, changes: Changes = None) -> None:
    """Checks the settings, and whether the user's own pictures have changed; starts nothing."""
    from experiments.trials.grid import number_of_cells

    config = Project(params, changes).config
    from data import catalog
    from data.official.picture_tree import registered_tree, verified_tree

    if tree := registered_tree(catalog.get(config.dataset), Path("data")):
        verified_tree(catalog.get(config.dataset), tree)  # DVC does not see that the user's pictures have changed
    profile = config.profile
    print(
        f"{params} is in order: profile {config.params.profile!r} asks for {number_of_cells(config):,} trials of "
        f"{', '.join(profile.systems)} on {config.dataset}, {profile.repetitions} repetitions"
    )


@app.command()
def data(
    stage: Annotated[Literal["download", "prepare", "split"], typer.Argument(help="what to make")],
    params: Params = PARAMS,
    changes: Changes = None,
) -> None:
    """Makes one stage of the dataset that the settings name, as `python -m data` does for any dataset."""
    from data import stages

    config = Project(params, changes).config
    settings = config.params.data
    if stage == "download":
        stages.download(config.dataset, Path(settings.source) if settings.source else None)
    elif stage == "prepare":
        side, channels = config.picture
        stages.prepare(config.dataset, side=side, channels=channels, images=settings.images)
    else:
        stages.split(
            config.dataset,
            config.repetitions,
            minimum_count=settings.minimum_count,
            word_vectors=Path(settings.word_vectors) if settings.word_vectors else None,
        )


@app.command()
@with_project
def sync(project: Project) -> None:
    """Logs to MLflow what it lacks of the profile's trials; never anything twice."""
    from data.secrets import masked
    from experiments.sweep.overview import result_faults
    from experiments.tracking.server import ARTIFACTS, check_tracking, mlflow_errors_explained, tracking_uri
    from experiments.trials.grid import trials

    config, layout = project.config, project.layout
    project.check_store()
    wanted, uri, kept = trials(config, layout), tracking_uri(config), layout.trial_store
    check_tracking(uri)
    from experiments.tracking import mlflow_runs as tracking

    with kept.locked(), mlflow_errors_explained(uri):
        kept.fetch([trial.identity for trial in wanted])
        record = tracking.Record(uri, config.dataset, ARTIFACTS)
        parent = record.sweep(config.params.profile, config.resolved())
        logged = tracking.sync(record, parent, wanted, kept)
    for line in result_faults(wanted, kept):
        print(line)
    print(f"{logged} of {len(wanted)} trials logged to {masked(uri)}, the others were there or are not run")


def main() -> None:
    """Runs the command line; a user's mistake is one message on stderr and exit code 2."""
    from experiments.compute.anew import replaced_where_ray_dies

    write_every_letter()
    try:
        with sigterm_as_sigint(), replaced_where_ray_dies():
            app()
    except UserError as error:
        _print_error(str(error))
        sys.exit(error.code)
    except OSError as error:  # a full disk, a folder that may not be written
        _print_error(f"{error.filename or 'the system'}: {error.strerror or error}")
        print("finished trials are safe: mend this and run the same command again", file=sys.stderr)
        sys.exit(2)
    except Exception:
        sys.excepthook = _print_masked
        raise


def _print_error(text: str) -> None:
    from data.secrets import masked

    print(f"error: {masked(text)}", file=sys.stderr)


def _print_masked(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Prints an error that nobody foresaw as Python does, but without the secrets that it may quote."""
    from data.secrets import masked_lines

    text = "".join(traceback.format_exception(kind, error, trace))
    sys.stderr.write(masked_lines(text, os.environ.get("MLFLOW_TRACKING_URI", "")))


if __name__ == "__main__":
    main()
