"""Training, validation and test parts, and nested labelled subsets of the training part.

A labelled subset is the training images whose labels (or captions) a system may use; its share of the training part is
the labelled proportion. A repetition is one independent draw of such subsets; in it, every larger subset contains the
smaller ones.

`ROOT/splits/DATASET` holds `parts.npz` (train, validation, test: sorted indices), one `order-NNN.npy` per repetition
(the training indices in the order in which they get labels) and `meta.json`. These files depend on the labels and the
dataset's name alone, so they are the same on every machine. For captions there are also the vocabulary of the training
part and every caption as numbers (`text.py`), and the word vectors of the vocabulary, if a file of them was named
(`word_vectors.py`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from data.atomic import alone, whole_folder
from data.dataset import PARTS, Dataset
from data.errors import UserError
from data.labelled.stratify import cut, label_order, labelled_count, share
from data.labelled.text import TEXTS, VOCABULARY, Texts, Vocabulary
from data.labelled.word_vectors import VECTORS, Identity, WordVectors, identity_of
from data.layout import processed_folder, splits_folder
from data.prepared.store import ImageStore
from data.seeds import seed_of
from data.verification import DAMAGE, FILES, META, read_meta, verify, write_meta

PARTS_FILE = "parts.npz"
LAYOUT = 1  # raised whenever these files would hold something else; older splits are then made again
INDEX_TYPE = np.dtype("<i8")
Text = TypeVar("Text", Vocabulary, Texts, WordVectors)


def _official(dataset: Dataset, store: ImageStore) -> dict[str, np.ndarray]:
    """Returns the parts that the official files set apart, and the training part before anything is cut from it.

    Raises UserError where a part has another number of images than the catalog says.
    """
    lacking = set(dataset.official) - set(store.parts)
    if lacking:
        raise UserError(f"{dataset.name}'s official files have no image of its {min(lacking)} part")
    for part in dataset.official:
        count, expected = store.parts[part], getattr(dataset, part)
        if not expected - store.skipped <= count <= expected:
            raise UserError(f"{dataset.name}'s own {part} part has {count} images, expected {expected}")
    ends = np.cumsum(list(store.parts.values()))
    return dict(zip(store.parts, np.split(np.arange(len(store.labels)), ends[:-1]), strict=True))


def _wanted(dataset: Dataset, store: ImageStore) -> dict[str, int]:
    """Returns how many images the validation and test parts get."""
    sizes = {}
    for part, size in (("validation", dataset.validation), ("test", dataset.test)):
        cut_off = size if isinstance(size, int) else share(size, len(store.labels))
        sizes[part] = store.parts.get(part, cut_off)
    return sizes


def _parts(dataset: Dataset, store: ImageStore) -> dict[str, np.ndarray]:
    """Returns the training, validation and test parts: sorted int64 indices into the store.

    The cuts are seeded by the dataset's name alone. Raises UserError where they are impossible.
    """
    parts = _official(dataset, store)
    sizes = _wanted(dataset, store)
    try:
        for part in ("test", "validation"):
            if part not in parts:
                seed = seed_of("parts", dataset=dataset.name, part=part)
                parts[part], parts["train"] = cut(store.labels, parts["train"], sizes[part], seed)
    except ValueError as error:
        raise UserError(f"{dataset.name} cannot be cut as the catalog asks: {error}") from error
    missing = set(range(len(store.classes))) - set(np.unique(store.labels[parts["train"]]).tolist())
    if missing:
        raise UserError(f"{dataset.name} has no training image of class {store.classes[min(missing)]!r}")
    return {name: parts[name].astype(INDEX_TYPE) for name in PARTS}


def _is_split(
    dataset: Dataset, store: ImageStore, repetitions: int, minimum: int, identity: Identity | None, root: Path
) -> bool:
    """Says whether the splits on disk are of these images and have all that is asked for."""
    try:
        splits = Splits.open(splits_folder(dataset.name, root))
        sizes = {"validation": len(splits.validation), "test": len(splits.test)}
        return (
            (splits.data, splits.layout) == (store.fingerprint, LAYOUT)
            and splits.repetitions >= repetitions
            and sizes == _wanted(dataset, store)
            and (not store.captioned or splits.vocabulary.minimum == minimum)
            and splits.word_vectors == identity
        )
    except UserError:
        return False


def _existing_repetitions(store: ImageStore, folder: Path) -> int:
    """Returns how many repetitions for the same images are on disk."""
    try:
        splits = Splits.open(folder)
    except UserError:
        return 0
    return splits.repetitions if splits.data == store.fingerprint else 0


def split(
    dataset: Dataset, repetitions: int, root: Path, minimum: int | None = None, word_vectors: Path | None = None
) -> bool:
    """Makes `root/splits/NAME` with at least that many repetitions. Returns False where it was there already.

    More repetitions leave the parts and the earlier repetitions as they are, byte for byte. Words that occur less than
    `minimum` times in the training captions are not in the vocabulary; None is the dataset's own number.
    `word_vectors` is a file of word2vec vectors for captions.

    Raises:
        UserError: the prepared images are missing or damaged, or a class has too few of them; a number is out of range;
            the file of word vectors is missing, damaged or not needed.
    """
    minimum = dataset.minimum_count if minimum is None else minimum
    if repetitions < 1:
        raise UserError(f"--repetitions {repetitions}: at least 1 is needed")
    if minimum < 1:
        raise UserError(f"--minimum-count {minimum}: at least 1 is needed")
    store = ImageStore.open(processed_folder(dataset.name, root))
    if word_vectors and not store.captioned:
        raise UserError(
            f"{dataset.name} has labels, no captions: --word-vectors {word_vectors} (in params.yaml, "
            "data.word_vectors) is for captions alone: leave it out"
        )
    if len(store.classes) == 1:
        raise UserError(
            f"{dataset.name} has one class alone, {store.classes[0]!r}, so that there is nothing to tell apart: "
            "prepare images of two classes or more"
        )
    identity = identity_of(word_vectors) if word_vectors else None
    target = splits_folder(dataset.name, root)
    if _is_split(dataset, store, repetitions, minimum, identity, root):
        return False
    with alone(target):
        if _is_split(dataset, store, repetitions, minimum, identity, root):
            return False
        repetitions = max(repetitions, _existing_repetitions(store, target))
        parts = _parts(dataset, store)
        with whole_folder(target) as folder:
            np.savez(folder / PARTS_FILE, train=parts["train"], validation=parts["validation"], test=parts["test"])
            for repetition in range(repetitions):
                seed = seed_of("labelled", dataset=dataset.name, repetition=repetition)
                order = parts["train"][label_order(store.labels[parts["train"]], seed)]
                np.save(folder / _order_name(repetition), order)
            if store.captioned:
                vocabulary = _write_text(store, parts["train"], minimum, folder)
                if word_vectors:
                    _word_vectors(vocabulary, word_vectors, target).save(folder)
            meta = {
                "layout": LAYOUT,
                "dataset": dataset.name,
                "data": store.fingerprint,
                "classes": len(store.classes),
                "repetitions": repetitions,
                **{name: len(indices) for name, indices in parts.items()},
                **({"word_vectors": identity} if identity else {}),
            }
            write_meta(folder, meta, [path.name for path in folder.iterdir()])
    return True


def _write_text(store: ImageStore, train: np.ndarray, minimum: int, folder: Path) -> Vocabulary:
    """Writes the vocabulary of the training part and all captions as numbers; returns the vocabulary."""
    captions = store.captions
    vocabulary = Vocabulary.of((caption for image in train for caption in captions[image]), minimum)
    vocabulary.save(folder)
    Texts.of(captions, vocabulary).save(folder)
    return vocabulary


def _word_vectors(vocabulary: Vocabulary, file: Path, before: Path) -> WordVectors:
    """Returns the word vectors of a vocabulary from a file.

    Reading it may take minutes: the vectors of the splits in folder `before` are used if they are of the same file and
    words.
    """
    try:
        splits = Splits.open(before)
        if splits.word_vectors == identity_of(file) and splits.vocabulary.words == vocabulary.words:
            return splits.vectors or WordVectors.of(vocabulary, file)
    except UserError:  # no splits there, or damaged ones
        pass
    return WordVectors.of(vocabulary, file)


def _read_parts(folder: Path, meta: Mapping[str, Any]) -> list[np.ndarray]:
    """Reads the training, validation and test parts. Raises ValueError where they are not all images, each once."""
    with np.load(folder / PARTS_FILE, allow_pickle=False) as file:
        parts = [file[name] for name in PARTS]
    for name, indices in zip(PARTS, parts, strict=True):
        if (indices.shape, indices.dtype) != ((meta[name],), np.int64):
            raise ValueError(f"{PARTS_FILE}: the {name} part is not as {META} says")
    everything = np.sort(np.concatenate(parts))
    if not np.array_equal(everything, np.arange(len(everything))):
        raise ValueError(f"{PARTS_FILE}: the parts are not all images, each once")
    return parts


def _add(digest: hashlib._Hash, indices: np.ndarray) -> None:
    digest.update(len(indices).to_bytes(8, "little"))
    digest.update(np.ascontiguousarray(indices, dtype=INDEX_TYPE).data)


def _order_name(repetition: int) -> str:
    return f"order-{repetition:03d}.npy"


@dataclass(frozen=True, eq=False)
class Splits:
    """The parts of one dataset and its labelled subsets.

    Attributes:
        folder: where the files are.
        train, validation, test: sorted int64 indices into `ImageStore.images`.
        classes: the number of classes; 0 for captions.
        repetitions: the number of draws on disk.
        data: the fingerprint of the images that are indexed.
        layout: the version of the layout of the files.
        word_vectors: the identity of the file of word vectors; None without them.
    """

    folder: Path
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    classes: int
    repetitions: int
    data: str
    layout: int
    word_vectors: Identity | None = None
    _kept: dict[int, np.ndarray] = field(default_factory=dict, init=False, repr=False)

    @classmethod
    def open(cls, folder: Path) -> Splits:
        """Opens what `python -m data split` wrote, once its content was compared with its digests.

        That reads all files, but only where they were not compared since they last changed (see `data.verification`).
        Raises UserError, naming the file and the command that makes it, where it is missing, damaged or incomplete.
        """
        command = f"run `python -m data split {folder.name} --repetitions R`"
        try:
            if not (folder / META).is_file():
                raise UserError(f"{folder} holds no splits: {command} first")
            meta = read_meta(folder)
            if meta is None:
                raise UserError(f"{folder} was split by an earlier version, without digests: {command}")
            verify(folder, meta[FILES])
            values = {key: meta[key] for key in ("classes", "repetitions", "data", "layout")}
            train, validation, test = _read_parts(folder, meta)
            return cls(folder, train, validation, test, **values, word_vectors=meta.get("word_vectors"))
        except DAMAGE as error:
            raise UserError(
                f"{folder} is damaged ({str(error) or type(error).__name__}): delete it and {command} again"
            ) from error

    @cached_property
    def vocabulary(self) -> Vocabulary:
        """The words of the training captions. Raises UserError where the file is damaged."""
        return self._read(Vocabulary.open, VOCABULARY)

    @cached_property
    def texts(self) -> Texts:
        """Every image's captions as numbers. Raises UserError where the file is damaged."""
        return self._read(Texts.open, TEXTS)

    @cached_property
    def vectors(self) -> WordVectors | None:
        """The vectors of the vocabulary's words; None without a file of them. Raises UserError where it is damaged."""
        if not self.word_vectors:
            return None
        return self._read(WordVectors.open, VECTORS)

    def _read(self, opener: Callable[[Path], Text], name: str) -> Text:
        """Reads a file about captions. Raises UserError where it is damaged."""
        try:
            return opener(self.folder)
        except DAMAGE as error:
            raise UserError(
                f"{self.folder / name} is damaged ({error}): delete {self.folder} and split again"
            ) from error

    def labelled(self, repetition: int, proportion: float) -> np.ndarray:
        """Returns the labelled subset of a repetition: sorted int64 indices into the store.

        A subset of a larger proportion contains every smaller one of the same repetition. See `label_order` for how
        classes share it. Raises UserError for a repetition that is not on disk or a proportion outside (0, 1].
        """
        if not 0 <= repetition < self.repetitions:
            raise UserError(
                f"repetition {repetition}: {self.folder} has {self.repetitions}, counted from 0; run "
                f"`python -m data split {self.folder.name} --repetitions {max(repetition, 0) + 1}`"
            )
        count = labelled_count(proportion, len(self.train), max(self.classes, 1))
        return np.sort(self._order(repetition)[:count])

    def _order(self, repetition: int) -> np.ndarray:
        """Returns the training images in the order in which a repetition labels them; the last one is kept."""
        if repetition not in self._kept:
            self._kept.clear()
            self._kept[repetition] = self._read_order(self.folder / _order_name(repetition))
        return self._kept[repetition]

    def _read_order(self, path: Path) -> np.ndarray:
        try:
            order = np.load(path, allow_pickle=False)
            if (order.shape, order.dtype) != (self.train.shape, np.int64):
                raise ValueError(f"it holds {order.dtype} {order.shape}, not int64 {self.train.shape}")
            if not np.array_equal(np.sort(order), self.train):
                raise ValueError("it does not order the training images")
        except DAMAGE as error:
            raise UserError(f"{path} is damaged ({error}): delete {self.folder} and split again") from error
        return order

    @cached_property
    def _parts_digest(self) -> hashlib._Hash:
        digest = hashlib.sha256()
        for indices in (self.train, self.validation, self.test):
            _add(digest, indices)
        return digest

    def fingerprint(self, repetition: int, proportion: float) -> str:
        """Returns the SHA-256, in hexadecimal, of the three parts and a labelled subset.

        For captions, of the vocabulary and the word vectors too.
        """
        digest = self._parts_digest.copy()
        _add(digest, self.labelled(repetition, proportion))
        if not self.classes:
            digest.update("\n".join(self.vocabulary.words).encode())
        if self.vectors is not None:
            digest.update(np.ascontiguousarray(self.vectors.values, dtype="<f4").data)
            digest.update(np.ascontiguousarray(self.vectors.known).data)
        return digest.hexdigest()
