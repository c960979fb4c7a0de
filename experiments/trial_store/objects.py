"""The objects under a URI, each of which is asked for, written and removed by requests that are repeated."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

from data.errors import UserError
from data.remote.filesystems import NO_CREDENTIALS, Place, place_at, place_errors_explained
from data.remote.names import stays_inside
from experiments.files import write_whole

PAUSES = (1, 2, 4, 8, 15)  # seconds between the attempts to reach the object store
Answer = TypeVar("Answer")


def repeatedly(place: Place, request: Callable[[], Answer]) -> Answer:
    """Returns what `request` returns, after as many attempts as there are PAUSES and one.

    Raises FileNotFoundError where what is asked for does not exist, and UserError where the place cannot be reached or
    written, or `request` itself raises it.
    """
    pauses = iter(PAUSES)
    while True:
        try:
            return request()
        except (FileNotFoundError, UserError):
            raise
        except Exception as error:  # each filesystem has its own
            hopeless = isinstance(error, PermissionError) or type(error).__name__ in NO_CREDENTIALS
            pause = None if hopeless else next(pauses, None)
            if pause is None:
                with place_errors_explained(place.uri):
                    raise
            time.sleep(pause)


def allowed() -> None:
    """Allows every change."""


class Objects:
    """The objects under a URI.

    Every method raises UserError where the place cannot be reached or written, and for a name that leads out of it.

    Attributes:
        place: where they are.
        guard: is called before each attempt to change anything, and raises a UserError where this process may not.
    """

    def __init__(self, uri: str) -> None:
        self.place = place_at(uri)
        self.guard: Callable[[], None] = allowed

    def _path(self, name: str) -> str:
        self._check(name)
        return self.place.file(name)

    def _check(self, name: str) -> None:
        if not stays_inside(name):
            raise UserError(
                f"{self.place}: the name {name!r} leads out of the folder that it would be written to: "
                "remove that object, or name another store with --store"
            )

    def _change(self, request: Callable[[], Answer]) -> Answer:
        """Calls a request that changes something, each time only if the guard lets it.

        Raises FileNotFoundError where what it changes, or the bucket, does not exist.
        """

        def guarded() -> Answer:
            self.guard()
            return request()

        return repeatedly(self.place, guarded)

    def names(self, folder: str = "") -> set[str]:
        """Returns the names of all objects, or of those in one trial's folder, relative to the place."""
        path = self._path(folder) if folder else self.place.path

        def find() -> list[str]:
            self.place.filesystem.invalidate_cache()
            return self.place.filesystem.find(path)

        try:
            found = repeatedly(self.place, find)
        except FileNotFoundError:
            return set()
        names = {name.removeprefix(f"{self.place.path}/") for name in found}
        for name in sorted(names):
            self._check(name)
        return names

    def send(self, path: Path, name: str) -> None:
        """Writes a file's content to an object."""
        with place_errors_explained(self.place.uri):
            self._change(lambda: self.place.filesystem.put_file(str(path), self._path(name)))

    def put(self, name: str, content: bytes) -> None:
        """Writes bytes to an object."""
        with place_errors_explained(self.place.uri):
            self._change(lambda: self.place.filesystem.pipe_file(self._path(name), content))

    def create(self, name: str, content: bytes) -> bool:
        """Makes an object of a JSON text, and never replaces a whole one.

        Returns False where there is another one: then nothing is written. On S3, a condition of the request keeps two
        writers apart; elsewhere whatever the filesystem does for `mode="create"`.
        """

        def make() -> bool:
            try:
                self.place.filesystem.pipe_file(self._path(name), content, mode="create")
            except Exception:
                # It may be ours, and the reply was lost on the way.
                found = self._content(name)
                if found is None:
                    raise
                if found != content and _is_json(found):
                    return False
                if found != content:
                    self.place.filesystem.pipe_file(self._path(name), content)
            return True

        with place_errors_explained(self.place.uri):
            return self._change(make)

    def _content(self, name: str) -> bytes | None:
        self.place.filesystem.invalidate_cache()
        with suppress(FileNotFoundError):
            return self.place.filesystem.cat_file(self._path(name))
        return None

    def fetch(self, name: str, path: Path) -> None:
        """Writes an object's content to a file, as a whole; does nothing where the object is gone."""

        def copy(stream: Any) -> None:
            with self.place.filesystem.open(self._path(name), "rb") as source:
                shutil.copyfileobj(source, stream, 2**23)

        with suppress(FileNotFoundError):
            repeatedly(self.place, lambda: write_whole(path, copy))

    def remove(self, name: str) -> None:
        """Removes an object, if it exists."""
        with suppress(FileNotFoundError):
            self._change(lambda: self.place.filesystem.rm_file(self._path(name)))


def _is_json(content: bytes) -> bool:
    try:
        json.loads(content)
    except ValueError:
        return False
    return True
