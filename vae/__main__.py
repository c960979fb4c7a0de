"""`python -m vae`: captions for one's own pictures, written by a model that a trial has trained.

This command alone of the package opens files. It takes the model from the trial store and reads pictures as the
datasets' pictures are read; the model's own modules know neither.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from data.errors import UserError
from data.output import write_every_letter
from data.version import print_versions
from experiments.trial_store.folders import CAPTIONER, WEIGHTS, TrialFolder, TrialStore

app = typer.Typer(
    add_completion=not sys.argv[0].endswith("__main__.py"),  # shells complete a command's name, not `python -m`
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


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
        Literal["beam", "greedy", "sample"] | None,
        typer.Option(help="how words are chosen; by default as the trial chose them"),
    ] = None,
    beams: Annotated[int | None, typer.Option(min=1, help="unfinished captions that a beam search keeps")] = None,
    draws: Annotated[
        int | None, typer.Option(min=0, help="codes averaged over at every word; 0 takes the mean code")
    ] = None,
    seed: Annotated[int, typer.Option(help="seed of the codes, and of words that are sampled")] = 0,
) -> None:
    """Captions pictures, one line each: the caption, log p of its words given the picture, and the perplexity per word.

    Each picture is turned upright, scaled and cropped to its middle, exactly as the training images were.
    The model can only describe what it was trained on: a model of `shapes` sees shapes everywhere.

    To find a trial, run `python -m experiments status`, or look up the column trial_id of experiments/results.csv.

    Examples:

    `python -m vae caption holiday.jpg --trial 3fa9`

    `python -m vae caption *.png --trial 3fa9 --decoding sample --seed 7`
    """
    folder = _captioner_folder(store, trial)
    description = folder.captioner()
    changes = {"decoding": decoding, "beams": beams, "draws": draws}
    description |= {name: value for name, value in changes.items() if value is not None}
    if beams is not None and description["decoding"] != "beam":
        raise UserError(
            f"--beams {beams}: decoding {description['decoding']!r} keeps none: add --decoding beam, or leave it"
        )
    # Imported late: PyTorch takes seconds to load, and help and mistakes need not wait for it.
    import numpy as np
    import torch

    from data.formats.pictures import BrokenPicture, read_picture
    from vae.captioner import Captioner

    try:
        captioner = Captioner(description, torch.load(folder.path / WEIGHTS, map_location="cpu", weights_only=True))
    except Exception as error:  # whatever a damaged file makes the reader raise
        raise UserError(f"{folder.path} holds no whole captioner ({error}): run that trial again") from error
    side, channels = captioner.architecture.side, captioner.architecture.channels
    broken = False
    for path in pictures:
        try:
            pixels = read_picture(Path(path), (side, side, channels))
        except (OSError, BrokenPicture) as error:
            print(f"error: {path}: {getattr(error, 'strerror', None) or error}", file=sys.stderr)
            broken = True
            continue
        image = torch.from_numpy(pixels.astype(np.float32) / np.float32(255)).permute(2, 0, 1).contiguous()
        torch.manual_seed(seed)
        text, nats, words = captioner.caption(image)
        print(f"{path}: {text}  (log p {nats:.2f}, perplexity {math.exp(-nats / words):.2f})")
    if broken:
        raise typer.Exit(2)


def _captioner_folder(store: Path, start: str) -> TrialFolder:
    """Returns the folder of the one trial with a captioner whose identity begins with `start`."""
    if not store.is_dir():
        raise UserError(
            f"--store {store}: there is no such folder: name the one that trials are kept in; of a trial on an object "
            f"store, copy {CAPTIONER} and {WEIGHTS} into a folder of its name"
        )
    trials = TrialStore(store)
    identities = trials.captioners(start) if start.isalnum() else []
    if len(identities) > 1:
        raise UserError(
            f"--trial {start}: {len(identities)} captioners start so, {', '.join(identities[:5])}: write more of it"
        )
    if not identities:
        begun = trials.identities(start) if start.isalnum() else []
        raise UserError(f"--trial {start}: {_why_none(begun)}")
    folder = trials.folder(identities[0])
    if not (folder.path / WEIGHTS).is_file():
        raise UserError(
            f"{folder.path} has no {WEIGHTS}: copy it here from the machine, or object store, that the trial ran on"
        )
    return folder


def _why_none(begun: list[str]) -> str:
    """Says why no captioner was found, given the trials whose identities match."""
    if not begun:
        return "no trial starts so: results.csv and `python -m experiments status` name them"
    return "no done trial of the system `caption` starts so; others train no model that captions new pictures"


def main() -> None:
    """Runs the command; a user's mistake is one message and exit code 2."""
    write_every_letter()
    try:
        app()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
