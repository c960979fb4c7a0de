"""The versions that `--version` prints."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version

import typer

DISTRIBUTION = "vae-images-labels-captions"


def print_versions(asked: bool) -> None:
    """Prints the versions of this software, Python and PyTorch and ends the command, where `--version` asks for it.

    The versions come from the packages' metadata: PyTorch is not imported.
    """
    if asked:
        print(f"{_named(DISTRIBUTION)}, Python {platform.python_version()}, {_named('torch')}")
        raise typer.Exit


def _named(package: str) -> str:
    try:
        return f"{package} {version(package)}"
    except PackageNotFoundError:  # code that runs from its folder alone
        return f"{package} (not installed)"
