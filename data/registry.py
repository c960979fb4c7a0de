"""Plug-ins: one module each in a folder of their own, registered by a name."""

from __future__ import annotations

import importlib
import pkgutil
from typing import Generic, TypeVar

from data.errors import UserError

Plugin = TypeVar("Plugin")


class Registry(Generic[Plugin]):
    """Plug-ins by name.

    Args:
        folder: the package whose modules register the plug-ins; all are imported before a name is unknown.
        kind: what messages call a plug-in, such as "system".
    """

    def __init__(self, folder: str, kind: str) -> None:
        self.folder, self.kind = folder, kind
        self.known: dict[str, Plugin] = {}

    def add(self, name: str, plugin: Plugin) -> None:
        """Registers a plug-in. Raises ValueError for a name that is taken."""
        if name in self.known:
            plural = f"{self.kind[:-1]}ies" if self.kind.endswith("y") else f"{self.kind}s"
            raise ValueError(f"two {plural} are named {name!r}")
        self.known[name] = plugin

    def names(self) -> list[str]:
        """Returns all names, sorted."""
        self._load()
        return sorted(self.known)

    def get(self, name: str) -> Plugin:
        """Returns the plug-in of that name. Raises UserError, listing the known names, where there is none."""
        if name not in self.known:
            self._load()
        if name not in self.known:
            raise UserError(f"unknown {self.kind} {name!r}: known are {', '.join(sorted(self.known))}")
        return self.known[name]

    def _load(self) -> None:
        package = importlib.import_module(self.folder)
        for module in pkgutil.iter_modules(package.__path__):
            importlib.import_module(f"{self.folder}.{module.name}")
