"""Passwords, which must not be printed."""

from __future__ import annotations

import re

_PASSWORDS = (re.compile(r"(://[^:\s]*:).*(?=@)", re.DOTALL), re.compile(r"(password=)[^&\s'\"]*"))


def masked(text: str) -> str:
    """Returns the text with the passwords of its URLs as ***; it rather hides too much than too little."""
    for pattern in _PASSWORDS:
        text = pattern.sub(r"\1***", text)
    return text
