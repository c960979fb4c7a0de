"""Embeds figures and pictures in a page, so that the page loads no other file."""

from __future__ import annotations

import base64
import re

from markupsafe import Markup

from reports.drawing.style import INK, PAPER, RULE
from reports.writing.templating import render

# A figure takes the colours of the page, light or dark: ink, paper and rules become variables of its style sheet.
PAGE_COLOURS = {INK: "var(--ink)", PAPER: "var(--paper)", RULE: "var(--rule)"}


def figure_section(svg: bytes, name: str, caption: str) -> Markup:
    """Renders a figure of this package inline with its caption; `name` becomes a prefix of its ids."""
    return render("figure.html", svg=_inline(svg.decode(), name, caption), caption=caption)


def data_uri(png: bytes) -> str:
    """Encodes a PNG as a data: address."""
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def _inline(svg: str, name: str, caption: str) -> Markup:
    drawing = svg[svg.index("<svg") :]
    drawing = re.sub(r"<metadata>.*?</metadata>", "", drawing, flags=re.DOTALL)
    drawing = re.sub(r'(\bid="|url\(#|href="#)', rf"\g<1>{name}-", drawing)
    for colour, variable in PAGE_COLOURS.items():
        drawing = drawing.replace(colour, variable)
    (size,) = re.findall(r'viewBox="[^"]*"', drawing[: drawing.index(">")])
    opening = Markup('<svg role="img" aria-label="{}" {} ').format(caption, Markup(size))
    opening += Markup('xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">')
    return opening + Markup(drawing[drawing.index(">") + 1 :])
