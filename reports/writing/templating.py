"""Renders the HTML templates of this package. Values are escaped unless they are `Markup`.

A page loads nothing and runs nothing. Its policy (templates/policy.html) forbids both to the browser too.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from reports.foreign_text import visible
from reports.names import percent

_environment = Environment(
    loader=FileSystemLoader(Path(__file__).parents[1] / "templates"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=StrictUndefined,
    finalize=lambda value: visible(value) if type(value) is str else value,
)


def duration(seconds: float) -> str:
    """Formats seconds for reading: "8.1 s", "3 min 20 s", "2 h 05 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def number(value: float | None, digits: int = 2) -> str:
    """Formats a number with that many decimals and commas between thousands, or as "—" where it is missing."""
    return "—" if value is None or value != value else f"{value:,.{digits}f}"


_environment.filters |= {"percent": percent, "duration": duration, "number": number}


def render(template: str, **values: Any) -> Markup:
    """Renders the template of that file name with these values."""
    return Markup(_environment.get_template(template).render(**values))
