"""Commands that bring a dataset from its official files to labelled splits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from data.errors import UserError
from data.version import print_versions

EXAMPLE = """Example:\n
\b
    python -m data list
    python -m data download fashion-mnist --source /media/stick/fashion-mnist
    python -m data prepare fashion-mnist
    python -m data split fashion-mnist --repetitions 2
"""

app = typer.Typer(
    help="Datasets, from official files to labelled splits: download, then prepare, then split.\n\n"
    "Each command can be run again at any time: what is there and whole is not made again, and what was stopped "
    "goes on where it was.",
    epilog=EXAMPLE,
    add_completion=not sys.argv[0].endswith("__main__.py"),  # shells complete a command's name, not `python -m`
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Name = Annotated[str, typer.Argument(metavar="DATASET", help="A dataset's name, as `list` shows it.")]
Root = Annotated[Path, typer.Option(help="The folder under which raw/, processed/ and splits/ lie.")]


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
            help="A folder that holds the official files, for machines without internet and for datasets whose "
            "licence asks for it: compressed as published, compressed anew, or not at all. For `folder`, your own "
            "pictures."
        ),
    ] = None,
    root: Root = Path("data"),
) -> None:
    """Puts a dataset's official files into ROOT/raw/DATASET, their checksums verified.

    Several files at once; a transfer that broke off goes on where it was.
    A folder of pictures is read in place: one sub-folder a class, or a table
    images.csv (or images.jsonl) with columns path and label, or path and
    captions, several of which bars (|) separate.
    """
    from data import stages

    stages.download(name, source, root)


@app.command()
def prepare(
    name: Name,
    root: Root = Path("data"),
    side: Annotated[int | None, typer.Option(help="Of the images, in pixels; only for `folder`.", min=8)] = None,
    channels: Annotated[int | None, typer.Option(help="3 or, for grey ones, 1; only for `folder`.")] = None,
    images: Annotated[
        int | None, typer.Option(help="How many of them; only for those that are drawn here, such as `shapes`.")
    ] = None,
) -> None:
    """Turns the official files into arrays that trials memory-map: ROOT/processed/DATASET.

    The images of `shapes` are drawn here instead, as many as --images says.
    Large sets are made on all cores with Ray, or on the cluster that
    RAY_ADDRESS names; ROOT must then be on storage that all of it sees.
    """
    from data import stages

    stages.prepare(name, root, side, channels, images)


@app.command()
def split(
    name: Name,
    repetitions: Annotated[
        int, typer.Option(help="How many independent draws of the labelled images to make; at least 1.")
    ],
    root: Root = Path("data"),
    minimum_count: Annotated[
        int | None,
        typer.Option(
            help="How often a word must come in the training captions to be known; otherwise the dataset's own number.",
            show_default=False,
        ),
    ] = None,
    word_vectors: Annotated[
        Path | None,
        typer.Option(
            help="A file of word2vec vectors, binary or text, .gz or not, for the words that captions know.",
            metavar="FILE",
        ),
    ] = None,
) -> None:
    """Cuts training, validation and test parts and draws the labelled images: ROOT/splits/DATASET.

    A draw orders the training images once; the labelled 1 % are the first of
    the labelled 5 %, and so on. More repetitions change nothing in those
    that are there. For captions, the vocabulary is made here too, and the
    vectors of its words are taken from --word-vectors: a file of gigabytes is
    read for minutes, here and never by trials.
    """
    from data import stages

    stages.split(name, repetitions, root, minimum_count, word_vectors)


@app.command()
def push(
    name: Name,
    uri: Annotated[str, typer.Argument(help="Where to, such as s3://bucket/data or /mnt/shared/data.")],
    root: Root = Path("data"),
    again: Annotated[
        bool, typer.Option("--again", help="Send what is there too, because `pull` found it damaged there.")
    ] = False,
) -> None:
    """Copies prepared images and splits to where other machines can read them; what is there is not sent again."""
    from data.remote.push_pull import push_dataset

    typer.echo(f"{name}: {push_dataset(name, root, uri, again)} files sent to {uri}")


@app.command()
def pull(
    name: Name,
    uri: Annotated[str, typer.Argument(help="Where from: what `push` was given.")],
    root: Root = Path("data"),
) -> None:
    """Brings prepared images and splits here from where `push` put them."""
    from data.remote.push_pull import pull_dataset
    from data.stages import print_outcome

    print_outcome(name, f"images and splits from {uri}", root, pull_dataset(name, uri, root))


@app.command("list")
def show(
    name: Annotated[str | None, typer.Argument(metavar="[DATASET]", help="All about one of them.")] = None,
    root: Root = Path("data"),
) -> None:
    """Shows every known dataset, its size and licence, and what of it is under ROOT."""
    from data import catalog
    from data.listing import about, table

    typer.echo(table(root) if name is None else about(catalog.get(name), root))


def main() -> None:
    """Runs the command line; a user's mistake is one message on stderr and exit code 2."""
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # for example a folder that may not be looked into
        print(f"error: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
