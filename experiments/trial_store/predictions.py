"""A trial's predictions of the test images, packed into a small JSON file.

Classes and log-probabilities are compressed by zlib: about three bytes an image.
"""

from __future__ import annotations

import base64
import hashlib
import zlib
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from experiments.trial_store.schema import Stored

CLASS, LOGARITHM = np.dtype("<u4"), np.dtype("<f2")
LEAST = -30.0  # log-probability; the most probable of C classes has at least −log C
Packed = Annotated[str, Field(max_length=10**8)]


@dataclass(frozen=True, eq=False)
class Predictions:
    """What a trial says about the n test images, in the order of the test part.

    Attributes:
        test: the fingerprint of the test part (`fingerprint`).
        classes: the most probable class of each image, integers [n].
        log_probabilities: that class's [n], at temperature 1. They are kept as float16, which is fine near 0, where
            probabilities themselves would all become 1.
    """

    test: str
    classes: np.ndarray
    log_probabilities: np.ndarray

    def packed(self) -> dict[str, Any]:
        """Returns the plain values that `predictions.json` holds."""
        return {
            "test": self.test,
            "images": len(self.classes),
            "classes": _pack(self.classes, CLASS),
            "log_probabilities": _pack(self.log_probabilities, LOGARITHM),
        }

    @classmethod
    def unpacked(cls, content: dict[str, Any]) -> Predictions:
        """Returns the predictions that a file with this content holds; the content is a valid `StoredPredictions`."""
        images = content["images"]
        return cls(
            content["test"],
            _unpack(content["classes"], CLASS, images),
            _unpack(content["log_probabilities"], LOGARITHM, images),
        )


class StoredPredictions(Stored):
    """`predictions.json`."""

    test: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    images: Annotated[int, Field(ge=1, le=10**8)]
    classes: Packed
    log_probabilities: Packed

    @model_validator(mode="after")
    def _whole(self) -> StoredPredictions:
        """Checks that what is packed are so many classes and log-probabilities."""
        for name, kind in (("classes", CLASS), ("log_probabilities", LOGARITHM)):
            try:
                values = _unpack(getattr(self, name), kind, self.images)
            except ValueError as error:
                raise PydanticCustomError("packed", "{name}: {why}", {"name": name, "why": str(error)}) from error
            if kind is LOGARITHM and not ((values >= LEAST) & (values <= 0)).all():
                raise PydanticCustomError("packed", "a log-probability is above 0 or very low")
        return self


def fingerprint(data: str, test: np.ndarray) -> str:
    """Returns the SHA-256, in hexadecimal, of a test part: the images' own fingerprint and its indices [n]."""
    digest = hashlib.sha256(data.encode())
    digest.update(np.ascontiguousarray(test, dtype="<i8").data)
    return digest.hexdigest()


def _pack(values: np.ndarray, kind: np.dtype[Any]) -> str:
    return base64.b64encode(zlib.compress(np.ascontiguousarray(values, dtype=kind).tobytes(), 9)).decode()


def _unpack(text: str, kind: np.dtype[Any], count: int) -> np.ndarray:
    """Returns `count` values. ValueError for any other content, of which no more is decompressed than that."""
    size = count * kind.itemsize
    reader = zlib.decompressobj()
    try:
        content = reader.decompress(base64.b64decode(text, validate=True), size + 1)
    except zlib.error as error:
        raise ValueError(f"is no compressed data ({error})") from error
    if len(content) != size or not reader.eof:
        raise ValueError(f"does not hold {count} values")
    return np.frombuffer(content, kind)
