"""Reads prepared images a batch at a time, memory-mapped or resident on a device."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from data.errors import UserError
from data.prepared.arrays import Arrays, fingerprint
from data.verification import DAMAGE, FILES, META, read_meta, verify

if TYPE_CHECKING:  # importing torch takes seconds, and most commands of `data` do not need it
    import torch

BATCH = 500  # images of a batch, at most
VALUES = 4_000_000  # values of a batch, at most: 20 images of 256 × 256 × 3
PIECE = 2**28  # bytes sent to a device at a time
RESIDENT_SHARE = 0.1  # share of a GPU's free memory that the images of one process may take


def _within(indices: npt.ArrayLike, count: int) -> np.ndarray:
    """Returns indices as int64. Raises IndexError where one is not within 0 … `count` − 1."""
    wanted = np.asarray(indices, dtype=np.int64)
    if wanted.size and (wanted.min() < 0 or wanted.max() >= count):
        raise IndexError(f"images are 0 … {count - 1}, asked for {wanted.min()} … {wanted.max()}")
    return wanted


class Sharded:
    """Several arrays uint8 [n, H, W, C] that are read like one array [N, H, W, C]."""

    def __init__(self, shards: Sequence[np.ndarray]) -> None:
        self._shards = shards
        self._ends = np.cumsum([len(shard) for shard in shards])
        self.shape = (int(self._ends[-1]), *shards[0].shape[1:])
        self.nbytes = sum(shard.nbytes for shard in shards)

    def __getitem__(self, indices: npt.ArrayLike) -> np.ndarray:
        """Returns a copy of those rows, in that order. Raises IndexError for a row that is not there."""
        wanted = _within(indices, self.shape[0])
        rows = np.empty((len(wanted), *self.shape[1:]), dtype=np.uint8)
        which = np.searchsorted(self._ends, wanted, side="right")
        for number in np.unique(which):
            shard, places = self._shards[number], np.flatnonzero(which == number)
            rows[places] = shard[wanted[places] - (self._ends[number] - len(shard))]
        return rows


@dataclass(frozen=True, eq=False)
class ImageStore:
    """The prepared images of one dataset, N of them, each H × W × C.

    Attributes:
        images: uint8 [N, H, W, C], memory-mapped and read-only, or a tensor on a device.
        labels: int64 [N]; −1 for captioned images.
        classes: the names of the classes; empty for captioned images.
        parts: the number of images of the training part, and of each part that the official files set apart, in the
            order in which they follow each other.
        fingerprint: SHA-256 of images, labels and captions.
        origin: a digest of the official files that the images came from.
        skipped: how many of their pictures were broken and left out.
        layout: the version of the layout of the files on disk.
        folder: where these files are.
    """

    dataset: str
    images: np.ndarray | Sharded | torch.Tensor
    labels: np.ndarray
    classes: tuple[str, ...]
    fingerprint: str
    parts: Mapping[str, int] = field(default_factory=dict)
    origin: str = ""
    skipped: int = 0
    layout: int = 0
    folder: Path | None = None

    @classmethod
    def open(cls, folder: Path) -> ImageStore:
        """Opens what `python -m data prepare` wrote, once its content was compared with its digests.

        That reads all files, but only where they were not compared since they last changed (see `data.verification`).
        Raises UserError, naming the file and the command that makes it, where it is missing, damaged or incomplete.
        """
        try:
            if not (folder / META).is_file():
                raise UserError(f"{folder} holds no prepared images: {_command(folder)} first")
            meta = read_meta(folder)
            if meta is None:
                raise UserError(
                    f"{folder} was prepared by an earlier version, without digests: {_command(folder)}, which adds them"
                )
            verify(folder, meta[FILES])
            arrays = Arrays.open(folder, meta)
            if fingerprint(meta["digests"]) != meta["fingerprint"]:
                raise ValueError(f"the digests in {META} do not give its fingerprint")
            arrays.verify(meta["digests"])
            return cls(
                dataset=meta["dataset"],
                images=arrays.images[0] if len(arrays.images) == 1 else Sharded(arrays.images),
                labels=arrays.labels,
                classes=tuple(meta["classes"]),
                fingerprint=meta["fingerprint"],
                parts=meta["parts"],
                origin=meta["origin"],
                skipped=meta["skipped"],
                layout=meta["layout"],
                folder=folder,
            )
        except DAMAGE as error:
            raise _damaged(folder, error) from error

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image as `batch` returns it."""
        _, height, width, channels = self.images.shape
        return channels, height, width

    @property
    def nbytes(self) -> int:
        """Bytes of all images."""
        return int(np.prod(self.images.shape))

    @property
    def captioned(self) -> bool:
        """Whether images have captions instead of labels."""
        return not self.classes

    @cached_property
    def captions(self) -> list[tuple[str, ...]]:
        """Each image's captions, as they were written.

        Raises UserError where the images have labels instead, or the file is damaged.
        """
        if self.folder is None or not self.captioned:
            raise UserError(f"{self.dataset} has labels, no captions")
        try:
            return [tuple(captions) for captions in Arrays(self.folder, self.labels, []).captions]
        except DAMAGE as error:
            raise _damaged(self.folder, error) from error

    def resident(self, device: str | torch.device) -> ImageStore:
        """Returns the same store with all images on a device, so that batches are not copied there one by one.

        Raises torch.OutOfMemoryError where they do not fit.
        """
        import torch

        images = torch.empty(self.images.shape, dtype=torch.uint8, device=device)
        for start in range(0, len(images), rows := max(1, PIECE * len(images) // self.nbytes)):
            indices = np.arange(start, min(start + rows, len(images)))
            images[start : start + rows] = torch.from_numpy(np.asarray(self.images[indices]))
        return replace(self, images=images)

    def near(self, device: torch.device) -> ImageStore:
        """Returns the store from which to train on a device.

        It is resident on a GPU where the images leave room for models and for the copies of other workers, and
        memory-mapped otherwise.
        """
        import torch

        if device.type != "cuda" or self.nbytes > RESIDENT_SHARE * torch.cuda.mem_get_info(device)[0]:
            return self
        return self.resident(device)

    def batch(self, indices: npt.ArrayLike, device: str | torch.device = "cpu") -> torch.Tensor:
        """Returns the images of b indices, float32 [b, C, H, W] in [0, 1], on a device.

        Only these rows are copied, as bytes. Raises IndexError for an index that is not there.
        """
        import torch

        wanted = _within(indices, len(self.labels))
        if isinstance(self.images, torch.Tensor):
            rows = self.images[torch.from_numpy(wanted).to(self.images.device)].to(device)
        elif torch.device(device).type == "cpu":
            return torch.from_numpy(_as_values(self.images[wanted]))
        else:
            rows = torch.from_numpy(np.asarray(self.images[wanted])).to(device)
        # Channels are moved to the front while a value still takes one byte, not four.
        return rows.permute(0, 3, 1, 2).contiguous().to(torch.float32).div_(255)


def _as_values(rows: np.ndarray) -> np.ndarray:
    """Turns bytes [b, H, W, C] into float32 [b, C, H, W] in [0, 1].

    One pass of NumPy is up to three times as fast as the two of PyTorch.
    """
    planes = rows.transpose(0, 3, 1, 2)
    return np.divide(planes, np.float32(255), out=np.empty(planes.shape, np.float32))


def _command(folder: Path) -> str:
    return f"run `python -m data prepare {folder.name}`"


def _damaged(folder: Path, error: BaseException) -> UserError:
    """Returns the error for prepared images that are damaged; a copy from elsewhere is mended by fetching it again."""
    reason = str(error) or type(error).__name__
    return UserError(
        f"{folder} is damaged ({reason}): delete it and {_command(folder)} again, or `python -m data pull "
        f"{folder.name} URI` if it was pulled"
    )


def batches(store: ImageStore, indices: np.ndarray, most: int = BATCH) -> Iterator[np.ndarray]:
    """Returns `indices` in batches of at most `most` images, fewer where images are large.

    The same images are always cut into the same batches.
    """
    size = max(1, min(most, VALUES // math.prod(store.shape)))
    return (indices[start : start + size] for start in range(0, len(indices), size))
