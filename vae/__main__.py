"""`python -m vae`: captions of one's own pictures, by a model that a trial has trained."""

from __future__ import annotations

import json
import math
import platform
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

DESCRIPTION, WEIGHTS = "captioner.json", "weights.pt"  # a trial's folder has both, where it trained a captioner
app = typer.Typer(
    add_completion=not sys.argv[0].endswith("__main__.py"),  # shells complete a command's name, not `python -m`
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


class Mistake(Exception):
    """Something that the user can put right; the message says what."""


def print_versions(asked: bool) -> None:
    """Prints the versions of this software, Python and PyTorch and ends the command, where `--version` asks for it."""
    if asked:
        print(f"{_named('vae-images-labels-captions')}, Python {platform.python_version()}, {_named('torch')}")
        raise typer.Exit


def _named(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:  # code that runs from its folder alone
        return f"{package} (not installed)"


@app.callback()
def about(
    show_versions: Annotated[
        bool, typer.Option("--version", callback=print_versions, is_eager=True, help="show the versions and end")
    ] = False,
) -> None:
    """The variational autoencoder of images and captions, once it is trained."""


@app.command()
def caption(
    pictures: Annotated[list[str], typer.Argument(metavar="IMAGE…", help="JPEG, PNG, WebP, TIFF, … of any size")],
    trial: Annotated[
        str, typer.Option(metavar="ID", help="the start of the identity of a done trial of the system `caption`")
    ],
    store: Annotated[Path, typer.Option("--store", help="the folder that trials are kept in")] = Path(
        "experiments/store"
    ),
    decoding: Annotated[
        Literal["beam", "greedy", "sample"] | None, typer.Option(help="how words are chosen; otherwise the trial's way")
    ] = None,
    beams: Annotated[int | None, typer.Option(min=1, help="unfinished captions that a beam search keeps")] = None,
    draws: Annotated[
        int | None, typer.Option(min=0, help="codes averaged over at every word; 0 takes the mean code")
    ] = None,
    seed: Annotated[int, typer.Option(help="of the codes, and of words that are drawn")] = 0,
) -> None:
    """Says what is to be seen on pictures, a line each: the caption, log p of its words given the picture, and the
    perplexity of a word.

    Each picture is turned upright, scaled and cut to the middle, as the images were that the model learned from.
    It can say what those taught it, and nothing else: a model of `shapes` sees shapes everywhere.

    Which trials there are: `python -m experiments status`, or the column trial_id of experiments/results.csv.

    Examples:

    `python -m vae caption holiday.jpg --trial 3fa9`

    `python -m vae caption *.png --trial 3fa9 --decoding sample --seed 7`
    """
    description, weights = _found(store, trial)
    changes = {"decoding": decoding, "beams": beams, "draws": draws}
    description |= {name: value for name, value in changes.items() if value is not None}
    if beams is not None and description["decoding"] != "beam":
        raise Mistake(
            f"--beams {beams}: decoding {description['decoding']!r} keeps none: add --decoding beam, or leave it"
        )
    import torch

    from vae.captioner import Captioner
    from vae.picture import read_picture

    try:
        captioner = Captioner(description, torch.load(weights, map_location="cpu", weights_only=True))
    except Exception as error:  # whatever a damaged file makes the reader raise
        raise Mistake(f"{weights.parent} holds no whole captioner ({error}): run that trial again") from error
    broken = False
    for path in pictures:
        try:
            image = read_picture(path, captioner.architecture.side, captioner.architecture.channels)
        except (OSError, ValueError) as error:
            print(f"error: {path}: {getattr(error, 'strerror', None) or error}", file=sys.stderr)
            broken = True
            continue
        torch.manual_seed(seed)
        said = captioner.describe(image[None])
        nats, words = float(said.log_likelihood[0]), int(said.lengths[0])
        print(f"{path}: {captioner.text(said.words[0])}  (log p {nats:.2f}, perplexity {math.exp(-nats / words):.2f})")
    if broken:
        raise typer.Exit(2)


def _found(store: Path, start: str) -> tuple[dict[str, Any], Path]:
    """The description of the one captioner whose trial's identity starts so, and where its weights are."""
    if not store.is_dir():
        raise Mistake(
            f"--store {store}: there is no such folder: name the one that trials are kept in; of a trial on an object "
            f"store, copy {DESCRIPTION} and {WEIGHTS} into a folder of its name"
        )
    trials = sorted(path.name for path in store.glob(f"{start}*") if path.is_dir()) if start.isalnum() else []
    able = [name for name in trials if (store / name / DESCRIPTION).is_file()]
    if len(able) != 1:
        told = f"{len(able)} captioners start so, {', '.join(able[:5])}: write more of it" if able else _why(trials)
        raise Mistake(f"--trial {start}: {told}")
    folder = store / able[0]
    if not (folder / WEIGHTS).is_file():
        raise Mistake(
            f"{folder} has no {WEIGHTS}: copy it here from the machine, or object store, that the trial ran on"
        )
    try:
        return json.loads((folder / DESCRIPTION).read_text(encoding="utf-8")), folder / WEIGHTS
    except (OSError, ValueError) as error:
        raise Mistake(f"{folder / DESCRIPTION} is damaged ({error}): run that trial again") from error


def _why(trials: list[str]) -> str:
    """Why no captioner was found among the trials that start so."""
    if not trials:
        return "no trial starts so: results.csv and `python -m experiments status` name them"
    return "no done trial of the system `caption` starts so; others train no model that captions new pictures"


def main() -> None:
    """The command, with a user's mistake told in one message and exit code 2."""
    try:
        app()
    except Mistake as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
