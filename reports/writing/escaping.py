r"""Text in the four languages of a report: a name reads as it is written, and never as a command.

HTML is escaped by the templates. A spreadsheet takes a cell of a CSV file for a formula where it begins with one of
`FORMULA`; such text gets an apostrophe in front, as spreadsheets themselves do it.
"""

from __future__ import annotations

import re
import unicodedata

import pandas as pd

from reports.foreign_text import one_line

FORMULA = "=+-@\t\r\n＝＋－＠"
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_MARKDOWN = re.compile(r"[\\`*<>|~$&]|(?<!\w)_|_(?!\w)|\](?=[(\[:])")
_GREEK = {
    chr(code): rf"$\{name.rpartition(' ')[2].lower()}$"
    for code in range(0x3B1, 0x3CA)
    if (name := unicodedata.name(chr(code))) and "OMICRON" not in name and "FINAL" not in name
}
_GREEK["λ"] = r"$\lambda$"  # Unicode spells it LAMDA
_LATEX = (
    {character: f"\\{character}" for character in "&%$#_{}"}
    | {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    | {"<": "$<$", ">": "$>$", "|": "$|$"}
    | _GREEK
    | {"±": r"$\pm$", "—": "---", "–": "--", "ξ": r"$\xi$", "≤": r"$\le$", "≥": r"$\ge$", "−": "$-$"}
    | {"▲": r"$\bigtriangleup$", "▼": r"$\bigtriangledown$", "’": "'", "×": r"$\times$"}
    | {"‘": "`", "“": "``", "”": "''", "…": r"\ldots{}", "·": r"$\cdot$", "°": r"$^\circ$", "→": r"$\to$"}
    | {"ß": r"\ss{}", "æ": r"\ae{}", "Æ": r"\AE{}", "œ": r"\oe{}", "Œ": r"\OE{}", "ø": r"\o{}", "Ø": r"\O{}"}
    | {"ł": r"\l{}", "Ł": r"\L{}", "ı": r"\i{}", "\xa0": "~", "µ": r"$\mu$"}
)
_ACCENTS = {  # from combining character to the command that sets it over a letter
    "\u0300": "`",
    "\u0301": "'",
    "\u0302": "^",
    "\u0303": "~",
    "\u0304": "=",
    "\u0306": "u",
    "\u0307": ".",
    "\u0308": '"',
    "\u030a": "r",
    "\u030b": "H",
    "\u030c": "v",
    "\u0323": "d",
    "\u0327": "c",
    "\u0331": "b",
}


def for_markdown(text: str) -> str:
    """Escapes a text for GitHub's Markdown. Underscores within words mean nothing there, and stay as they are."""
    return _MARKDOWN.sub(r"\\\g<0>", one_line(text))


def for_latex(text: str) -> str:
    """Escapes a text for pdfLaTeX. A character that its standard fonts lack becomes its number, as (U+4E2D)."""
    escaped = "".join(map(_latex_character, unicodedata.normalize("NFC", one_line(text))))
    # At the start of a row these two would belong to the \\ before it.
    return f"{{{escaped[0]}}}{escaped[1:]}" if escaped.startswith(("[", "*")) else escaped


def _latex_character(character: str) -> str:
    if character in _LATEX:
        return _LATEX[character]
    if character.isascii():
        return character
    letter, *marks = list(unicodedata.normalize("NFD", character))
    if letter.isascii() and letter.isalpha() and len(marks) == 1 and marks[0] in _ACCENTS:
        return rf"\{_ACCENTS[marks[0]]}{{{letter}}}"
    return f"(U+{ord(character):04X})"


def for_csv(table: pd.DataFrame) -> bytes:
    """Returns a table as a CSV file that a spreadsheet shows as it is. Numbers, negative ones too, stay numbers."""
    safe = table.apply(lambda column: column.map(_no_formula)) if len(table) else table
    return safe.to_csv(index=False, lineterminator="\n", float_format="%.10g").encode()


def _no_formula(value: object) -> object:
    if not isinstance(value, str) or not value or value[0] not in FORMULA or _NUMBER.fullmatch(value):
        return value
    return f"'{value}"
