"""This machine's own copies of what lies at a URI."""

from __future__ import annotations

import hashlib
import os
import tempfile
from functools import cache
from pathlib import Path

from data.errors import UserError
from data.remote.push_pull import pull_dataset


def is_uri(place: str) -> bool:
    """Returns whether a place is given as a URI such as s3://BUCKET/FOLDER and not as a path."""
    return "://" in place


def copy_of(uri: str) -> Path:
    """Returns the folder of this machine's copy of a URI, among its temporary files (TMPDIR); only this user reads it.

    Raises:
        UserError: the folder of all copies belongs to another user.
    """
    root = Path(tempfile.gettempdir()) / f"experiments-{os.getuid()}"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if root.stat().st_uid != os.getuid():
        raise UserError(f"{root} belongs to somebody else: name another folder for temporary files with TMPDIR")
    return root / hashlib.sha256(uri.encode()).hexdigest()[:12]


@cache
def bring_data(dataset: str, uri: str) -> None:
    """Copies a dataset's images and splits from a URI to this machine, where they are missing; once in a process.

    Raises what `data.remote.push_pull.pull_dataset` raises.
    """
    pull_dataset(dataset, uri, copy_of(uri))
