"""The project's code as a folder that Ray sends to other machines, made from what lies in the tree."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]


@contextmanager
def code_folder(*packages: str) -> Iterator[Path]:
    """A temporary folder with the modules of those of the project's packages, and nothing that was made beside them.

    Data, results and settings stay behind: a job or a worker reaches them by path or URI.
    """
    with tempfile.TemporaryDirectory(prefix="code-") as name:
        folder = Path(name)
        for init in (init for package in packages for init in (ROOT / package).rglob("__init__.py")):
            target = folder / init.parent.relative_to(ROOT)
            target.mkdir(parents=True, exist_ok=True)
            for module in init.parent.glob("*.py"):
                shutil.copyfile(module, target / module.name)
        yield folder
