"""The commands of `python -m data`, from official files to labelled splits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from data.errors import UserError
from data.output import write_every_letter
from data.secrets import masked
from data.signals import sigterm_as_sigint
from data.version import print_versions

EXAMPLE = """Example:\n
\b
    python -m data list
    python -m data download fashion-mnist --source /media/stick/fashion-mnist
    python -m data prepare fashion-mnist
    python -m data split fashion-mnist --repetitions 2
"""

app = typer.Typer(
    help="Makes datasets, from official files to labelled splits: download, then prepare, then split.\n\n"
    "Each command can be run again at any time: results that are complete are kept, and work that was stopped is "
    "resumed.",
    epilog=EXAMPLE,
    add_completion=not sys.argv[0].endswith("__main__.py"),  # shells complete a command's name, not `python -m`
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Name = Annotated[str, typer.Argument(metavar="DATASET", help="A dataset's name, as `list` shows it.")]
Root = Annotated[Path, typer.Option(help="The folder that holds raw/, processed/ and splits/.")]


@app.callback()
def about(
    version: Annotated[
        bool, typer.Option("--version", callback=print_versions, is_eager=True, help="Show the versions and end.")
    ] = False,
) -> None:
    """Holds the options that stand before a command."""


@app.command()
def download(
    name: Name,
    source: Annotated[
        Path | None,
        typer.Option(
            help="A folder with the official files, for machines without internet and for datasets whose licence "
            "forbids a download by a program. The files may be compressed as published, compressed again, or not at "
            "all. For the dataset `folder`, the folder of your own pictures."
        ),
    ] = None,
    root: Root = Path("data"),
) -> None:
    """Puts a dataset's official files into ROOT/raw/DATASET and verifies their checksums.

    Several files are downloaded at once; an interrupted download is resumed.
    A folder of your own pictures is read in place. It has a sub-folder for
    each class, or a table images.csv (or images.jsonl) with the columns path
    and label, or path and captions. A bar (|) separates several captions.
    """
    from data import stages

    stages.download(name, source, root)


@app.command()
def prepare(
    name: Name,
    root: Root = Path("data"),
    side: Annotated[
        int | None, typer.Option(help="Height and width of the images in pixels; only for `folder`.", min=8)
    ] = None,
    channels: Annotated[int | None, typer.Option(help="3 for colour, 1 for grey; only for `folder`.")] = None,
    images: Annotated[
        int | None, typer.Option(help="How many images; only for datasets that are drawn here, such as `shapes`.")
    ] = None,
) -> None:
    """Turns the official files into arrays that trials memory-map: ROOT/processed/DATASET.

    The images of `shapes` have no official files: they are drawn here.
    Large datasets are prepared on all cores with Ray, or on the cluster that
    RAY_ADDRESS names; ROOT must then be on storage that all its nodes see.
    """
    from data import stages

    stages.prepare(name, root, side, channels, images)


@app.command()
def split(
    name: Name,
    repetitions: Annotated[
        int, typer.Option(help="How many independent draws of labelled images to make; at least 1.")
    ],
    root: Root = Path("data"),
    minimum_count: Annotated[
        int | None,
        typer.Option(
            help="How often a word must occur in the training captions to enter the vocabulary; by default, the "
            "dataset's own number.",
            show_default=False,
        ),
    ] = None,
    word_vectors: Annotated[
        Path | None,
        typer.Option(
            help="A file of word2vec vectors for the words of captions; binary or text, .gz or not.",
            metavar="FILE",
        ),
    ] = None,
) -> None:
    """Cuts training, validation and test parts and draws the labelled images: ROOT/splits/DATASET.

    A repetition is one draw: it orders the training images, so that the
    labelled 1 % are the first of the labelled 5 %, and so on. Adding
    repetitions does not change earlier ones. For captions, the vocabulary is
    made as well, and the vectors of its words are read from --word-vectors.
    Reading a file of gigabytes takes minutes; trials do not read it again.
    """
    from data import stages

    stages.split(name, repetitions, root, minimum_count, word_vectors)


@app.command()
def push(
    name: Name,
    uri: Annotated[str, typer.Argument(help="The target, such as s3://bucket/data or /mnt/shared/data.")],
    root: Root = Path("data"),
    again: Annotated[
        bool,
        typer.Option("--again", help="Send all files, also those that are there, because `pull` found one damaged."),
    ] = False,
) -> None:
    """Copies prepared images and splits to where other machines can read them, without the files that are there."""
    from data.remote.push_pull import push_dataset

    typer.echo(f"{name}: {push_dataset(name, root, uri, again)} files sent to {masked(uri)}")


@app.command()
def pull(
    name: Name,
    uri: Annotated[str, typer.Argument(help="The place that `push` was given.")],
    root: Root = Path("data"),
) -> None:
    """Fetches prepared images and splits from where `push` put them."""
    from data.remote.push_pull import pull_dataset
    from data.stages import print_outcome

    print_outcome(name, f"images and splits from {masked(uri)}", root, pull_dataset(name, uri, root))


@app.command("list")
def show(
    name: Annotated[str | None, typer.Argument(metavar="[DATASET]", help="Show all about this one.")] = None,
    root: Root = Path("data"),
) -> None:
    """Shows every known dataset, its size and licence, and which of its stages are under ROOT."""
    from data import catalog
    from data.listing import about, table

    typer.echo(table(root) if name is None else about(catalog.get(name), root))


def main() -> None:
    """Runs the command line; a user's mistake is one message on stderr and exit code 2."""
    write_every_letter()
    try:
        with sigterm_as_sigint():
            app()
    except UserError as error:
        print(f"error: {masked(str(error))}", file=sys.stderr)
        sys.exit(error.code)
    except OSError as error:  # for example a folder that may not be read
        print(f"error: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
