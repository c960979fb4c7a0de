"""The project's code as a folder that Ray sends to other machines, made from what lies in the tree."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = (".py", ".c", ".h")  # a worker compiles the kernels itself


@contextmanager
def code_folder(*packages: str) -> Iterator[Path]:
    """A temporary folder with the code of those of the project's packages, and nothing that was made beside them.

    Data, results and settings stay behind: a job or a worker reaches them by path or URI.
    """
    with tempfile.TemporaryDirectory(prefix="code-") as name:
        folder = Path(name)
        for room in (room for package in packages for room in _rooms(ROOT / package)):
            target = folder / room.relative_to(ROOT)
            target.mkdir(parents=True)
            for file in room.glob("[!.]*"):  # editors keep their locks and copies under hidden names
                if file.suffix in CODE:
                    shutil.copyfile(file, target / file.name)
        yield folder


def _rooms(package: Path) -> Iterator[Path]:
    """Yields the folders of modules alone: `data/raw` may hold millions of files, and code of others."""
    if (package / "__init__.py").is_file():
        yield package
        for folder in sorted(path for path in package.iterdir() if path.is_dir() and not path.is_symlink()):
            yield from _rooms(folder)
