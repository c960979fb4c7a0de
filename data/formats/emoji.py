"""Emoji as two vendors draw them, and their names, from the npm packages emoji-datasource-google and -twitter.

Each package is a tar with `emoji.json`, a list of all emoji, and drawings of 64 × 64 pixels, `img/VENDOR/64/IMAGE`. The
dataset has the emoji that both vendors draw, without skin tones and the variations that they make.

A system learns one vendor's drawings and is tested on the other's. The code points of an emoji put it into one of three
groups (`group`): a tenth for validation, a tenth for the test, and the rest for training. The training part is Google's
drawings of the training group. The validation part is Google's drawings of the validation group. The test part is
Twitter's drawings of the training group, known emoji in another style, and of the test group, emoji never seen before.
Images have names, so that these two kinds of test images can be told apart.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from data.dataset import Dataset
from data.errors import UserError
from data.formats.archives import Member, faulty
from data.formats.checks import as_catalogued, members, named
from data.formats.contract import Contents, Picture, register, shards_of
from data.seeds import seed_of
from data.tokens import words

VENDORS = ("google", "twitter")
TENTHS = {0: "validation", 1: "test"}  # which tenth of all emoji is which group; the others are the training group
PARTS = (  # of the dataset, each with a vendor and the groups whose drawings it has
    ("train", "google", ("train",)),
    ("validation", "google", ("validation",)),
    ("test", "twitter", ("train", "test")),
)
TONES = "Component"  # the category of the skin tones themselves
COUNTRIES = ("country-flag", "subdivision-flag")  # their short names are codes, such as flag-ad
CODE = re.compile(r"(?<=IDEOGRAPH)-[0-9A-F]+$")  # a number that tells one of thousands of characters from another
BREAKS = re.compile(r"[-_:,.()*]")
FIELDS = ("unified", "image", "name", "category", "subcategory")


@dataclass(frozen=True)
class _Emoji:
    """An emoji: its code points in hexadecimal, joined by hyphens, the file name of its drawings, and its names."""

    code_points: str
    image: str
    captions: tuple[str, ...]


def group(code_points: str) -> str:
    """Returns the group of an emoji such as "1F1EA-1F1EC": train, validation, or test."""
    return TENTHS.get(seed_of("emoji", code_points=code_points.upper()) % 10, "train")


def _plain(name: str) -> str:
    """Returns a name or a short name as lower-case words, without separators and code numbers."""
    return " ".join(words(BREAKS.sub(" ", CODE.sub("", name).replace("&", " and "))))


def captions(name: str, short_names: Sequence[str], subcategory: str) -> tuple[str, ...]:
    """Returns the captions of an emoji: its name and its short names, each once.

    Short names with a digit or a plus are left out, because they are codes such as +1, o2 and clock930. So are the
    short names of flags, which are codes of countries.
    """
    short = () if subcategory in COUNTRIES else (text for text in short_names if not re.search(r"[\d+]", text))
    return tuple(dict.fromkeys(filter(None, map(_plain, (name, *short)))))


def _listed(data: bytes, what: str) -> Iterator[_Emoji]:
    """Yields the emoji that both vendors draw, in the order of emoji.json."""
    try:
        for entry in json.loads(data):
            code_points, image, name, category, subcategory = (entry[field] for field in FIELDS)
            if category != TONES and all(entry[f"has_img_{vendor}"] for vendor in VENDORS):
                yield _Emoji(code_points, image, captions(name, entry["short_names"], subcategory))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise faulty(what, f"it is not a list of emoji ({type(error).__name__}: {error})") from error


def _drawings(entries: Sequence[Member], vendor: str) -> dict[str, Member]:
    """Returns a vendor's drawings of 64 × 64 pixels by their names without folders."""
    inside = f"package/img/{vendor}/64/"
    return {member.name.removeprefix(inside): member for member in entries if member.name.startswith(inside)}


@register("emoji")
def read(dataset: Dataset, files: Mapping[str, Path], unpacked: Path) -> Contents:
    """Reads two files, of roles google and twitter. Names are those in Google's package."""
    entries = {vendor: members(dataset, files, vendor, unpacked) for vendor in VENDORS}
    archive = files["google"]
    what = f"{archive}, emoji.json"
    drawings = {vendor: _drawings(entries[vendor], vendor) for vendor in VENDORS}
    grouped: dict[str, list[_Emoji]] = {}
    for emoji in _listed(named(entries["google"], "emoji.json", archive).read(), what):
        if not emoji.captions:
            raise faulty(f"{what}, {emoji.code_points}", "it has no name")
        if all(emoji.image in drawings[vendor] for vendor in VENDORS):
            grouped.setdefault(group(emoji.code_points), []).append(emoji)
    shards = []
    for part, vendor, groups in PARTS:
        some = sorted((emoji for name in groups for emoji in grouped.get(name, ())), key=lambda one: one.code_points)
        if not some:
            raise UserError(f"{archive} has no emoji for the {part} part: it is not the whole package")
        pictures = [Picture(drawings[vendor][emoji.image], None, emoji.captions) for emoji in some]
        shards += shards_of(part, pictures, dataset)
    return as_catalogued(dataset, (), shards, archive)
