"""Names of files that another place gives: they become paths here, and each must stay in the folder that it is for."""

from __future__ import annotations

import re

LONGEST = 255  # bytes of a part of a path on common disks
_RESERVED = re.compile(
    r"(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])\s*(\..*)?", re.IGNORECASE
)  # devices


def stays_inside(name: str) -> bool:
    """Returns whether `name`, a path with slashes, names a file in the folder that it is joined to, on any system.

    It does not where it is absolute, has a part that is empty, `.` or `..`, a backslash, a colon, or a character that
    cannot be printed, where a part is a device, or is longer than disks allow.
    """
    return all(_is_plain(part) for part in name.split("/"))


def _is_plain(part: str) -> bool:
    if part.strip(" .") == "" or not part.isprintable() or "\\" in part or ":" in part:
        return False
    return len(part.encode()) <= LONGEST and not _RESERVED.fullmatch(part)
