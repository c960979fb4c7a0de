"""Stratified cuts and orders of labels, the same on every machine."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import numpy as np

from data.errors import UserError
from data.seeds import seed_of, shuffled


def apportion(counts: np.ndarray, size: int) -> np.ndarray:
    """Returns how many images of each class go into a stratified part of `size` images, int64 like `counts`.

    Hamilton's method of largest remainders, in whole numbers: each class c with N_c of N images gets size·N_c/N, within
    one image. Of equal remainders the lower class comes first. One image of every class is always left behind; a class
    that has no image to spare passes its place on to the next class in line. Raises ValueError where too few are left.
    """
    total = int(counts.sum())
    room = counts - 1
    if counts.min(initial=1) < 1 or size > room.sum():
        raise ValueError(f"cannot take {size} of {total} images and leave one of each class")
    shares, remainders = np.divmod(size * counts, total)
    taken = np.minimum(shares, room)
    in_line = np.lexsort((np.arange(len(counts)), -remainders))
    while (short := size - int(taken.sum())) > 0:
        taken[in_line[(taken < room)[in_line]][:short]] += 1
    return taken


def cut(labels: np.ndarray, candidates: np.ndarray, size: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws a stratified part of `size` candidates (indices into `labels`). Returns it and the rest, both sorted."""
    _, classes, counts = np.unique(labels[candidates], return_inverse=True, return_counts=True)
    shuffle = shuffled(len(candidates), seed)
    taken = apportion(counts, size)
    chosen = np.zeros(len(candidates), dtype=bool)
    chosen[shuffle] = _ranks(classes[shuffle]) < taken[classes[shuffle]]
    return np.sort(candidates[chosen]), np.sort(candidates[~chosen])


def _ranks(classes: np.ndarray) -> np.ndarray:
    """Returns for each entry how many entries of the same class come before it, int64 like `classes`."""
    by_class = np.argsort(classes, kind="stable")
    counts = np.bincount(classes)
    ranks = np.empty(len(classes), dtype=np.int64)
    ranks[by_class] = np.arange(len(classes)) - np.repeat(np.cumsum(counts) - counts, counts)
    return ranks


def label_order(labels: np.ndarray, seed: int) -> np.ndarray:
    """Returns a stratified order of the N entries of `labels`, int64 [N]. Its prefixes are the labelled subsets.

    In a seeded shuffle, the i-th entry (from 0) of a class with N_c entries gets the key (i + ½)/N_c, but the first
    one the key 0. Entries are sorted by key, ties by a second seeded shuffle. Hence in a prefix of n ≥ C entries, where
    C is the number of classes, there is one number t such that every class has N_c·t entries, rounded to the nearest
    whole number (a half either way), or 1 where that would be 0. This is Webster's apportionment with at least one seat
    each. Where all classes have the same size, each is within one entry of its share n/C.
    """
    _, classes, counts = np.unique(labels, return_inverse=True, return_counts=True)
    shuffle = shuffled(len(labels), seed_of("label order", seed=seed))
    ties = shuffled(len(labels), seed_of("label order: ties", seed=seed))
    shuffled_classes = classes[shuffle]
    ranks = _ranks(shuffled_classes)
    keys = np.where(ranks == 0, 0.0, (ranks + 0.5) / counts[shuffled_classes])
    return shuffle[np.lexsort((ties, keys))]


def share(proportion: float, images: int) -> int:
    """Returns a proportion of a number of images, rounded half up, by the decimal digits that the user wrote."""
    exact = Decimal(repr(float(proportion))) * images
    return int(exact.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def labelled_count(proportion: float, images: int, classes: int) -> int:
    """Returns how many training images have labels at a labelled proportion: at least one per class.

    Raises UserError for a proportion outside (0, 1].
    """
    if not 0 < proportion <= 1:
        raise UserError(f"labelled proportion {proportion!r}: it must be above 0 and at most 1")
    return max(classes, share(proportion, images))
