"""The three stages that make a dataset, with the line that each prints: download, prepare, split.

`python -m data` and `python -m experiments data` both call them. Each stage imports only what it needs, when it runs.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path("data")  # holds raw/, processed/ and splits/


def download(name: str, source: Path | None = None, root: Path = ROOT) -> None:
    """Puts the official files of the dataset `name` into ROOT/raw/NAME, from its mirrors or from the folder `source`.

    Raises:
        UserError: the dataset is unknown, or a file cannot be had or has a wrong checksum.
    """
    from data import catalog
    from data.layout import raw_folder
    from data.official.download import download as fetch

    dataset = catalog.get(name)
    made = fetch(dataset, root, source)
    if dataset.drawn is not None:
        print(f"{name}: nothing to download: its images are drawn by `prepare`")
    else:
        print_outcome(name, "official files", raw_folder(name, root), bool(made))


def prepare(
    name: str,
    root: Path = ROOT,
    side: int | None = None,
    channels: int | None = None,
    images: int | None = None,
) -> None:
    """Turns the official files of the dataset `name` into arrays in ROOT/processed/NAME.

    `side` and `channels` are the size of the user's own pictures, `images` the number of drawn ones; None is what the
    catalog says.

    Raises:
        UserError: the dataset is unknown, cannot have that size, or its official files are missing or damaged.
    """
    from data import catalog
    from data.layout import processed_folder
    from data.prepared.prepare import prepare as make

    folder = processed_folder(name, root)
    made = make(catalog.sized(catalog.get(name), side, channels, images), root)
    print_outcome(name, "images", folder, made)
    if made:
        _print_skipped(folder)


def _print_skipped(folder: Path) -> None:
    """Prints how many pictures were broken and left out, if any."""
    from data.prepared.arrays import SKIPPED
    from data.prepared.store import ImageStore

    skipped = ImageStore.open(folder).skipped
    if skipped:
        print(f"{skipped} broken pictures were left out: see {folder / SKIPPED}")


def split(
    name: str,
    repetitions: int,
    root: Path = ROOT,
    minimum_count: int | None = None,
    word_vectors: Path | None = None,
) -> None:
    """Cuts the prepared images of the dataset `name` into parts and draws labelled subsets, in ROOT/splits/NAME.

    `repetitions` is the number of independent draws. `minimum_count` (None: the catalog's) and `word_vectors`, a
    word2vec file, are for captions: see `data.labelled.splits.split`.

    Raises:
        UserError: the dataset is unknown, or its prepared images or the word vectors are missing or damaged.
    """
    from data import catalog
    from data.labelled.splits import split as make
    from data.layout import splits_folder

    folder = splits_folder(name, root)
    made = make(catalog.get(name), repetitions, root, minimum_count, word_vectors)
    print_outcome(name, "splits", folder, made)
    _print_coverage(folder)


def _print_coverage(folder: Path) -> None:
    """Prints how many words of the vocabulary have a word vector, where the splits have word vectors at all."""
    from data.labelled.splits import Splits
    from data.labelled.text import SPECIAL

    splits = Splits.open(folder)
    if splits.vectors is not None:
        known, words = int(splits.vectors.known.sum()), len(splits.vocabulary.words) - len(SPECIAL)
        _, occurrences = splits.vectors.coverage(splits.vocabulary)
        print(f"word vectors: {known:,} of {words:,} words ({100 * occurrences:.1f} % of all that is said)")


def print_outcome(name: str, what: str, folder: Path, made: bool) -> None:
    """Prints where something of a dataset lies, and whether it was there already."""
    print(f"{name}: {what} in {folder}" + ("" if made else " (were there already)"))
