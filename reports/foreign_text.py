"""Text that the project did not write, such as names and reasons, made fit to be shown."""

from __future__ import annotations

import re

# Control characters other than tab and line feed, lone surrogates, and the characters that turn the direction of
# writing, with which a name could change how the text after it reads.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_BREAKS = re.compile("[\t\n\u2028\u2029]+")


def visible(text: str) -> str:
    """Replaces the characters that cannot be seen, or turn the direction of writing, by �; line ends stay."""
    return _HIDDEN.sub("�", text.replace("\r\n", "\n").replace("\r", "\n"))


def one_line(text: str) -> str:
    """Does what `visible` does, and joins the lines of the text by blanks."""
    return _BREAKS.sub(" ", visible(text))


def is_one_line(text: str) -> bool:
    """Tells whether a text has neither line ends nor characters that cannot be seen."""
    return text == one_line(text)
