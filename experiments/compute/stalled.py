"""What is raised where nothing runs on Ray any more."""

from __future__ import annotations

from data.errors import RunFailed


class Stalled(RunFailed):
    """Nothing runs on Ray, and nothing has started for a while."""


class Abandoned(BaseException):
    """Stands for Stalled on its way out of Tune, which would otherwise wait for servers that are dead."""
