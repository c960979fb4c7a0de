"""Commands that bring a dataset from its official files to labelled splits."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from data.errors import DataError

EXAMPLE = """Example:\n
\b
    python -m data list
    python -m data download fashion-mnist --source /media/stick/fashion-mnist
    python -m data prepare fashion-mnist
    python -m data split fashion-mnist --repetitions 2
"""

app = typer.Typer(
    help="Datasets, from official files to labelled splits: download, then prepare, then split.\n\n"
    "Each command can be run again at any time: what is there and whole is not made again.",
    epilog=EXAMPLE,
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
Name = Annotated[str, typer.Argument(metavar="DATASET", help="A dataset's name, as `list` shows it.")]
Root = Annotated[Path, typer.Option(help="The folder under which raw/, processed/ and splits/ lie.")]


@app.command()
def download(
    name: Name,
    source: Annotated[
        Path | None,
        typer.Option(
            help="A folder that holds the official files, for machines without internet: compressed as "
            "published, compressed anew, or not at all."
        ),
    ] = None,
    root: Root = Path("data"),
) -> None:
    """Puts a dataset's official files into ROOT/raw/DATASET, their checksums verified."""
    from data import catalog
    from data.download import download as fetch
    from data.folders import raw_folder

    dataset = catalog.get(name)
    made = fetch(dataset, root, source)
    _say(name, "official files", raw_folder(name, root), made=bool(made))


@app.command()
def prepare(name: Name, root: Root = Path("data")) -> None:
    """Turns the official files into arrays that trials memory-map: ROOT/processed/DATASET."""
    from data import catalog
    from data.folders import processed_folder
    from data.prepare import prepare as make

    dataset = catalog.get(name)
    _say(name, "images", processed_folder(name, root), made=make(dataset, root))


@app.command()
def split(
    name: Name,
    repetitions: Annotated[
        int, typer.Option(help="How many independent draws of the labelled images to make; at least 1.")
    ],
    root: Root = Path("data"),
) -> None:
    """Cuts training, validation and test parts and draws the labelled images: ROOT/splits/DATASET.

    A draw orders the training images once; the labelled 1 % are the first of the labelled 5 %, and so on.
    More repetitions change nothing in those that are there.
    """
    from data import catalog
    from data.folders import splits_folder
    from data.splits import split as make

    dataset = catalog.get(name)
    _say(name, "splits", splits_folder(name, root), made=make(dataset, repetitions, root))


@app.command("list")
def show(root: Root = Path("data")) -> None:
    """Shows every known dataset, its size and licence, and what of it is under ROOT."""
    from data.listing import table

    typer.echo(table(root))


def _say(name: str, what: str, folder: Path, made: bool) -> None:
    typer.echo(f"{name}: {what} in {folder}" + ("" if made else " (were there already)"))


def main() -> None:
    """Runs the command line; a user's mistake is one message on stderr and exit code 2."""
    try:
        app(prog_name="python -m data")
    except DataError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except OSError as error:  # for example a folder that may not be looked into
        print(f"error: {error.filename or 'the system'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
