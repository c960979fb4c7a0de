"""Whether a process holds a lock file, asked without writing anything."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path


def is_locked(path: Path) -> bool:
    """Returns whether a process holds a lock file that `filelock.FileLock` has made.

    The file is opened for reading alone, so that this works in folders and on disks that may not be written. A file
    that may not even be read counts as not held.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)  # a shared lock needs no right to write on any system
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
    return False
