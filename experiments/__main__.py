"""`python -m experiments`: run, plan, status, log, trial, search, study, check, data, sync."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from data.errors import UserError

# PyTorch, Ray and MLflow take seconds to import: each command imports what it needs, when it needs it.

PLAN_SECONDS = 0.5  # for the steps of one system at one proportion
STOPPED = 130  # exit code of a command that SIGINT ended
app = typer.Typer(
    help="Trials and sweeps of labelled proportions, kept in a store and in MLflow.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Params = Annotated[Path, typer.Option("--params", help="the settings", metavar="FILE")]
Store = Annotated[
    str,
    typer.Option(
        "--store", envvar="EXPERIMENTS_STORE", help="all trials ever run: a folder or s3://…", metavar="PLACE"
    ),
]
Data = Annotated[
    str,
    typer.Option("--data", envvar="EXPERIMENTS_DATA", help="prepared data: a folder or s3://…", metavar="PLACE"),
]
Address = Annotated[
    str | None,
    typer.Option(
        envvar="RAY_ADDRESS",
        help="of a Ray cluster: HOST:PORT or auto, or http://HOST:8265 for a job; otherwise this machine",
    ),
]
PARAMS, STORE, DATA = Path("params.yaml"), "experiments/store", "data"
EVIDENCE = Path("experiments/evidence")


@app.command()
def run(address: Address = None, params: Params = PARAMS, store: Store = STORE, data: Data = DATA) -> None:
    """Runs what the active profile asks for and was not run yet; writes results.csv and the gallery.

    On a cluster, every node must have the project's dependencies, and see the
    data and the trial store: under the paths that they have here, or at a URI,
    from where each brings its own copy. The code goes along. MLflow is told by
    this process; with http://HOST:8265, the address of Ray's dashboard, the whole
    sweep is sent there as a job (see `submit`), and only its results come here.
    """
    from experiments.settings.config import load
    from experiments.trial_store.layout import Layout

    if address and address.startswith(("http://", "https://")):
        submit(address, params, store, data)
        return
    config = load(params)
    from experiments.sweep import run as launch

    if not launch.run(config, Layout.at(data, store), " ".join(["python -m experiments", *sys.argv[1:]]), address):
        raise typer.Exit(STOPPED)


@app.command()
def submit(
    address: Annotated[
        str, typer.Option(envvar="RAY_API_SERVER_ADDRESS", help="of the cluster's dashboard")
    ] = "http://127.0.0.1:8265",
    params: Params = PARAMS,
    store: Store = STORE,
    data: Data = DATA,
) -> None:
    """Sends the sweep to a running Ray cluster as a job, follows it, and writes results.csv and the gallery here.

    Ctrl-C leaves the job alone: the same command finds it again; after its end
    another job, with nothing left to run, brings what it found. `ray job stop
    ID` stops it. MLflow must be a server that the cluster reaches
    (MLFLOW_TRACKING_URI). The trial store and the data must be on an object
    store, or in folders that this machine and every node see under the same path.

    Example:
    `submit --address http://head:8265 --store s3://bucket/trials --data s3://bucket/data`
    """
    from experiments.settings.config import load
    from experiments.trial_store.layout import Layout

    config = load(params)
    from experiments.cluster import jobs
    from experiments.sweep import run as launch

    layout = Layout.at(data, store)
    try:
        jobs.run(config, layout, address)
    except KeyboardInterrupt:
        print("the job goes on: the same command follows it, and brings its results here at the end")
        raise typer.Exit(STOPPED) from None
    launch.collect(config, layout)


@app.command()
def plan(params: Params = PARAMS, store: Store = STORE, data: Data = DATA) -> None:
    """Shows what `run` would run, and what it would cost."""
    from experiments.compute.resources import here
    from experiments.learning.device import set_up
    from experiments.settings.config import load
    from experiments.sweep.cost import Costs
    from experiments.sweep.overview import print_plan
    from experiments.trial_store.layout import Layout
    from experiments.trials.grid import trials

    config, layout = load(params), Layout.at(data, store)
    wanted, resources, kept = trials(config, layout), here(config.params.compute, spread=True), layout.trial_store
    kept.fetch([trial.identity for trial in wanted])
    device = set_up(resources.cpus, resources.gpus > 0)
    costs = Costs(wanted, kept, layout, device, budget=PLAN_SECONDS, each_proportion=True)
    print_plan(wanted, kept, costs, resources)


@app.command()
def status(
    watch: Annotated[bool, typer.Option("--watch", help="look again and again, until all are done")] = False,
    params: Params = PARAMS,
    store: Store = STORE,
    data: Data = DATA,
) -> None:
    """Shows which trials are done, running, failed and missing, and how to go on."""
    from experiments.settings.config import load
    from experiments.sweep.overview import print_status, watch_status
    from experiments.trial_store.layout import Layout
    from experiments.trials.grid import trials

    layout = Layout.at(data, store)
    wanted = trials(load(params), layout)
    try:
        (watch_status if watch else print_status)(wanted, layout.trial_store)
    except KeyboardInterrupt:
        raise typer.Exit(STOPPED) from None


@app.command()
def log(
    identity: Annotated[str, typer.Argument(metavar="ID", help="the start of a trial's identity")],
    store: Store = STORE,
) -> None:
    """Shows what became of one trial: settings, every epoch, its result, or why it failed and where."""
    from experiments.trial_store.layout import Layout
    from experiments.trial_store.log import find, lines

    for line in lines(find(Layout.at(DATA, store).trial_store, identity)):
        print(line)


@app.command()
def trial(
    system: Annotated[str | None, typer.Option(help="its name in params.yaml")] = None,
    proportion: Annotated[float | None, typer.Option(help="of the training labels, above 0 and at most 1")] = None,
    xi: Annotated[str | None, typer.Option(help="auto or a number, for systems that use it")] = None,
    seed: Annotated[int, typer.Option(help="repetition, counted from 0", min=0)] = 0,
    identity: Annotated[
        str | None, typer.Option("--id", help="instead: the start of an identity in the profile")
    ] = None,
    params: Params = PARAMS,
    store: Store = STORE,
    data: Data = DATA,
) -> None:
    """Runs one trial in this process, with neither Ray nor MLflow."""
    from experiments.settings.config import load
    from experiments.trial_store.layout import Layout
    from experiments.trials import foreground as single

    config, layout = load(params), Layout.at(data, store)
    if identity is not None:
        chosen = single.by_identity(config, layout, identity)
    else:
        chosen = single.by_cell(config, layout, system, proportion, xi, seed)
    try:
        single.run(config, layout, chosen)
    except KeyboardInterrupt:
        print("stopped half-way: the same command goes on from the last checkpoint")
        raise typer.Exit(STOPPED) from None


@app.command()
def search(
    systems: Annotated[list[str] | None, typer.Argument(help="those to find settings for", show_default=False)] = None,
    everything: Annotated[bool, typer.Option("--all", help="every system that has a space")] = False,
    address: Annotated[
        str | None,
        typer.Option(envvar="RAY_ADDRESS", help="of a Ray cluster, HOST:PORT or auto; otherwise this machine"),
    ] = None,
    params: Params = PARAMS,
    store: Store = STORE,
    data: Data = DATA,
) -> None:
    """Finds settings on the validation part; the test part is never read.

    Section `search` of params.yaml says how many settings of each system
    are tried, on which proportions and repetitions (others than those
    reported), and from which spaces. The settings in use come first;
    Optuna's TPE draws the others, and successive halving stops the worse
    ones after each pass over the proportions.

    Nothing is computed twice: whatever stops a search, the same command
    goes on where it was, and a larger `search.trials` adds to what was
    tried. The studies are kept in STORE/search, or where `search.storage`
    says (a PostgreSQL database), and shown in MLflow under DATASET-search.
    With --address the settings are tried on a Ray cluster, as by `run`.

    With `cost` in `search.objectives` (operations of training) the settings
    are looked for, and shown, that none beats in accuracy without costing
    more. With `search.warm_start: K` the K best settings of earlier searches,
    of another dataset, space or budget, are tried anew before any is drawn.

    At the end the best settings are printed as they go into params.yaml, and
    all that were tried are written to experiments/evidence/search/SYSTEM.csv
    and SYSTEM.json.

    Examples: `search bsvm`, `search alexnet googlenet`, `search --all`.
    """
    from experiments.settings.config import load
    from experiments.trial_store.layout import Layout

    config = load(params)
    from experiments.search import run as launch

    if not launch.run(config, Layout.at(data, store), launch.chosen(config, systems or [], everything), address):
        raise typer.Exit(STOPPED)


@app.command()
def study(
    name: Annotated[str, typer.Argument(help="a file of experiments/studies, such as estimators")],
    seconds: Annotated[float, typer.Option(help="of each training that has equal time", min=0.1)] = 35.0,
    repetitions: Annotated[int, typer.Option(help="of each training", min=1)] = 3,
    gradients: Annotated[int, typer.Option(help="independent ones for each mean and variance", min=2)] = 150,
    params: Params = PARAMS,
    store: Store = STORE,
    data: Data = DATA,
) -> None:
    """Measures what a study asks for and was not measured yet, and writes its tables into experiments/evidence.

    The study of estimators takes about ten minutes on two cores, which should have nothing else to do.
    Stopped, it goes on where it was.
    """
    from experiments.settings.config import load
    from experiments.trial_store.layout import Layout

    config = load(params)
    from experiments.studies import run as studies
    from experiments.studies.contract import Effort

    if not studies.run(config, Layout.at(data, store), name, Effort(seconds, repetitions, gradients), EVIDENCE):
        print("stopped half-way: the same command goes on with what is left")
        raise typer.Exit(STOPPED)


@app.command()
def check(params: Params = PARAMS) -> None:
    """Says whether the settings are in order, and one's own pictures as they were; starts nothing."""
    from experiments.settings.config import load
    from experiments.trials.grid import cells

    config = load(params)
    from data import catalog
    from data.official.picture_tree import official_tree, taken_in

    if tree := taken_in(catalog.get(config.dataset), Path("data")):
        official_tree(catalog.get(config.dataset), tree)  # DVC does not see that one's own pictures have changed
    profile = config.profile
    print(
        f"{params} is in order: profile {config.params.profile!r} asks for {len(list(cells(config)))} trials of "
        f"{', '.join(profile.systems)} on {config.dataset}, {profile.repetitions} repetitions"
    )


@app.command()
def data(
    stage: Annotated[Literal["download", "prepare", "split"], typer.Argument(help="what to make")],
    params: Params = PARAMS,
) -> None:
    """Makes one stage of the dataset of the settings, as `python -m data` does for any."""
    from data import stages
    from experiments.settings.config import load

    config = load(params)
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
def sync(params: Params = PARAMS, store: Store = STORE, data: Data = DATA) -> None:
    """Logs to MLflow whatever it lacks of the profile's trials; never anything twice."""
    from experiments.secrets import masked
    from experiments.settings.config import load
    from experiments.tracking.background import ARTIFACTS, tracking_uri
    from experiments.tracking.background import check as check_server
    from experiments.trial_store.layout import Layout
    from experiments.trials.grid import trials

    config, layout = load(params), Layout.at(data, store)
    wanted, uri, kept = trials(config, layout), tracking_uri(config), layout.trial_store
    check_server(uri)
    from experiments.tracking import record as tracking

    with kept.alone():
        kept.fetch([trial.identity for trial in wanted])
        record = tracking.Record(uri, config.dataset, ARTIFACTS)
        parent = record.sweep(config.params.profile, config.resolved())
        logged = tracking.sync(record, parent, wanted, kept)
    print(f"{logged} of {len(wanted)} trials logged to {masked(uri)}, the others were there or are not run")


def main() -> None:
    """The commands, with a user's mistake told in one message and exit code 2."""
    try:
        app(prog_name="python -m experiments")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # a full disk, a folder that may not be written
        print(f"error: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
        print("finished trials are safe: mend this and run the same command again", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
