"""Where a dataset's files are under ROOT, stage by stage."""

from __future__ import annotations

from pathlib import Path


def raw_folder(name: str, root: Path) -> Path:
    """Returns the folder of a dataset's official files."""
    return root / "raw" / name


def processed_folder(name: str, root: Path) -> Path:
    """Returns the folder of its images and labels as arrays."""
    return root / "processed" / name


def splits_folder(name: str, root: Path) -> Path:
    """Returns the folder of its parts and labelled subsets."""
    return root / "splits" / name
