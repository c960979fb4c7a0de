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
    """Whether a place is named by a URI such as s3://BUCKET/FOLDER, not by a path."""
    return "://" in place


def copy_of(uri: str) -> Path:
    """The folder for it, which nobody else may read, among this machine's temporary files (TMPDIR)."""
    root = Path(tempfile.gettempdir()) / f"experiments-{os.getuid()}"
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    if root.stat().st_uid != os.getuid():
        raise UserError(f"{root} belongs to somebody else: name another folder for temporary files with TMPDIR")
    return root / hashlib.sha256(uri.encode()).hexdigest()[:12]


@cache
def bring_data(dataset: str, uri: str) -> None:
    """Brings that dataset's images and splits here, where they are not yet; looked at once in a process.

    UserError as `data.remote.push_pull.pull_dataset` raises it.
    """
    pull_dataset(dataset, uri, copy_of(uri))
