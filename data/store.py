"""Reading prepared images: memory-mapped, a batch at a time."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from data.errors import DataError

if TYPE_CHECKING:  # importing torch takes seconds, which the commands of `data` do not have to spend
    import torch

IMAGES, LABELS, META = "images.npy", "labels.npy", "meta.json"


@dataclass(frozen=True, eq=False)
class ImageStore:
    """The prepared images of one dataset, N of them, each H × W × C.

    `images` uint8 [N, H, W, C], memory-mapped and read-only; `labels` int64 [N]; `classes` names them;
    `official_test` the index of the first image of an official test part, or None; `fingerprint` the
    SHA-256 of the bytes of images and labels.
    """

    dataset: str
    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    official_test: int | None
    fingerprint: str

    @classmethod
    def open(cls, folder: Path) -> ImageStore:
        """Opens what `python -m data prepare` wrote; checks sizes against meta.json, not the content.

        DataError, naming the command that makes it, where it is missing, damaged or half there.
        """
        command = f"run `python -m data prepare {folder.name}`"
        try:
            if not (folder / META).is_file():
                raise DataError(f"{folder} holds no prepared images: {command} first")
            meta = json.loads((folder / META).read_text(encoding="utf-8"))
            images = np.load(folder / IMAGES, mmap_mode="r", allow_pickle=False)
            labels = np.load(folder / LABELS, allow_pickle=False)
            height, width, channels = meta["shape"]
            expected = ((meta["count"], height, width, channels), np.uint8, (meta["count"],), np.int64)
            found = (images.shape, images.dtype, labels.shape, labels.dtype)
            if found != expected:
                raise ValueError("the arrays' sizes are not those of meta.json")
            return cls(
                dataset=meta["dataset"],
                images=images,
                labels=labels,
                classes=tuple(meta["classes"]),
                official_test=meta["official_test"],
                fingerprint=meta["fingerprint"],
            )
        except (OSError, ValueError, TypeError, KeyError, EOFError) as error:
            raise DataError(f"{folder} is damaged ({error}): delete it and {command} again") from error

    @property
    def shape(self) -> tuple[int, int, int]:
        """(C, H, W) of an image as `batch` gives it."""
        _, height, width, channels = self.images.shape
        return channels, height, width

    def batch(self, indices: npt.ArrayLike, device: str | torch.device = "cpu") -> torch.Tensor:
        """The images of those indices, float32 [b, C, H, W] in [0, 1], on the device.

        Only these rows are copied, and they travel as bytes. IndexError for an index that is not there.
        """
        import torch

        rows = np.asarray(self.images[np.asarray(indices, dtype=np.int64)])
        images = torch.from_numpy(rows).to(device).permute(0, 3, 1, 2)
        return images.to(torch.float32, memory_format=torch.contiguous_format).div_(255)
