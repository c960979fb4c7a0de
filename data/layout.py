"""Where things lie under the data root (`--root`, by default `data`)."""

from __future__ import annotations

from pathlib import Path


def raw_folder(name: str, root: Path) -> Path:
    """A dataset's official files."""
    return root / "raw" / name


def processed_folder(name: str, root: Path) -> Path:
    """Its images and labels as arrays."""
    return root / "processed" / name


def splits_folder(name: str, root: Path) -> Path:
    """Its parts and labelled orders."""
    return root / "splits" / name
