"""Attempts to make a report of changed files: each is refused in one line, or the report says what they say."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import random
import re
import shutil
import warnings
from pathlib import Path

import pytest
from matplotlib.layout_engine import ConstrainedLayoutEngine

from reports.artefacts.contract import makers
from reports.drawing import style as drawing
from reports.errors import UserError
from reports.foreign_text import one_line
from reports.inputs.sources import read_sources
from reports.page import page
from tests.fuzz.hanging import in_time
from tests.reports import captioned
from tests.reports import conftest as made_up
from tests.reports.pages import text_of

SECONDS = 120  # after which an attempt counts as one that hangs
# Values that no column of numbers may hold, and those that some may.
NONSENSE = ("nan", "NaN", "inf", "-inf", "Infinity", "1e400", "1e308", "-1e308", "1_000", "0x10", "1,5", "١٢", "true",
            "None", "3 %", "--1", "1e", "=1+1", "-1", "-0.5", "1e300", "999999999999999999999")  # fmt: skip
UNUSUAL = (
    "",
    "0",
    "-0",
    "0.0",
    "1",
    "100",
    "100.0001",
    "1e-300",
    "5e-324",
    "0.30000000000000004",
    "1e15",
    "2.5",
    "auto",
)
TEXTS = ("", "done", "missing", "failed", "running", "<b>x</b>", "a\nb", "a\u202eb", "\x00", "x" * 5000, "$\\frac$",
         "ß∂ƒ", "_", "'", '"', ",", "e\u0301", "bsvm", "../../etc/passwd")  # fmt: skip
JSON_VALUES = (None, True, False, 0, -1, 1, 3.5, -1e300, 1e308, 10**30, "", "1", "nan", "a\nb", "\x00", "../x.png",
               "/etc/passwd", [], {}, [1], {"a": 1}, [[[[[[[[1]]]]]]]], "x" * 5000, float("nan"), float("inf"), "<b>",
               "$_^")  # fmt: skip
# Percentages and counts that must be refused wherever they are given.
REFUSED = {"nan", "inf", "-inf", "1e400", "1e308", "-1", "-0.5", "100.0001", "1e300"}
PERCENTAGES = {"top1", "top5", "ece"}


@pytest.fixture(scope="module")
def bases(tmp_path_factory) -> dict[str, Path]:
    """A small sweep of each kind, with every file that a report reads."""
    folder = tmp_path_factory.mktemp("bases")
    labels = [row for row in made_up.grid(2) + made_up.beyond(2) if row["proportion"] in (0.1, 1.0)]
    labels = [row for row in labels if row["system"] in ("alexnet", "bsvm", "tbsvm")]
    made_up.lose(labels[0], "failed", "the loss of epoch 3 is not finite")
    made_up.write_sweep(folder / "labels", labels)
    made_up.write_table(folder / "labels" / "averaging.csv", made_up.averaging(labels))
    made_up.write_predictions(folder / "labels" / "predictions.csv.gz", labels, images=100)
    made_up.write_evidence(folder / "labels" / "evidence")
    made_up.write_captioned(folder / "captions", captioned.grid(2, (0.1,)), images=2)
    return {kind: folder / kind for kind in ("labels", "captions")}


def changed(chance: random.Random, path: Path) -> tuple[str, bool]:
    """Changes a file of a report's inputs at random; returns what was done, and whether it must be refused."""
    content = path.read_bytes()
    kind = chance.random()
    if path.suffix == ".gz":
        return change_compressed(chance, path, content)
    if kind < 0.2:
        return spoil(chance, path, content)
    if path.suffix == ".json":
        return change_json(chance, path, content), False
    rows = list(csv.reader(io.StringIO(content.decode())))
    if kind < 0.35 and len(rows) > 2:
        what = restructure(chance, rows)
        must = False
    else:
        row, column = chance.randrange(1, len(rows)), chance.randrange(len(rows[0]))
        value = chance.choice(NONSENSE if chance.random() < 0.5 else UNUSUAL + TEXTS)
        head, given = rows[0][column], rows[row][column]
        rows[row][column] = value
        what = f"row {row}, {head}: {given[:20]!r} → {value[:20]!r}"
        must = head in PERCENTAGES and given != "" and value in REFUSED
    text = io.StringIO()
    csv.writer(text, lineterminator=chance.choice(["\n", "\n", "\r\n"])).writerows(rows)
    path.write_text(text.getvalue(), encoding="utf-8", newline="")
    return what, must


def change_compressed(chance: random.Random, path: Path, content: bytes) -> tuple[str, bool]:
    """Changes the bytes of a compressed table, or the table in it."""
    if chance.random() < 0.2:
        cut = chance.randrange(len(content))
        path.write_bytes(
            chance.choice([content[:cut], content[:cut] + b"damage" + content[cut + 6 :], content * 2, b""])
        )
        return "compressed bytes changed", False
    plain = path.with_suffix("")
    plain.write_bytes(gzip.decompress(content))
    what, must = changed(chance, plain)
    if plain.is_file():
        path.write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
    else:
        path.unlink()
        plain.rename(path)
    return what, must


def spoil(chance: random.Random, path: Path, content: bytes) -> tuple[str, bool]:
    """Changes the bytes of a file, or puts something else in its place."""
    cut = chance.randrange(len(content) + 1)
    some = bytes(chance.randrange(256) for _ in range(chance.randrange(1, 9)))
    ways = {
        "empty": b"",
        "cut": content[:cut],
        "bytes changed": content[:cut] + some + content[cut + len(some) :],
        "byte order mark": b"\xef\xbb\xbf" + content,
        "UTF-16": content.decode().encode("utf-16"),
        "Latin-1": content.replace(b"a", b"\xe9", 1),
        "lines of Windows": content.replace(b"\n", b"\r\n"),
        "blank lines": content.replace(b"\n", b"\n\n", 3),
        "semicolons": content.replace(b",", b";"),
        "nothing but a number": b"1",
        "nested": b"[" * 5000 + b"]" * 5000,
        "folder": None,
        "pipe": None,
    }
    way = chance.choice(list(ways))
    if way in ("folder", "pipe"):
        path.unlink()
        if way == "folder":
            path.mkdir()
        else:
            os.mkfifo(path)
    else:
        path.write_bytes(ways[way] or b"")
    return way, way in ("folder", "pipe", "UTF-16")


def restructure(chance: random.Random, rows: list[list[str]]) -> str:
    """Adds, doubles, removes or mixes rows and columns."""
    one, other = chance.randrange(1, len(rows)), chance.randrange(1, len(rows))
    column = chance.randrange(len(rows[0]))
    way = chance.choice(
        ["doubled row", "no row", "short row", "long row", "no column", "doubled column", "mixed", "all"]
    )
    if way == "doubled row":
        rows.append(list(rows[one]))
    elif way == "no row":
        del rows[one]
    elif way == "short row":
        rows[one].pop()
    elif way == "long row":
        rows[one].append("1")
    elif way == "no column":
        for row in rows:
            del row[column]
    elif way == "doubled column":
        for row in rows:
            row.append(row[column])
    elif way == "mixed":
        rows[one][column], rows[other][column] = rows[other][column], rows[one][column]
    else:
        value = chance.choice(UNUSUAL)
        for row in rows[1:]:
            row[column] = value
    return f"{way} ({rows[0][min(column, len(rows[0]) - 1)]})"


def change_json(chance: random.Random, path: Path, content: bytes) -> str:
    """Replaces, adds or removes one value of a JSON file, at any depth."""
    facts = json.loads(content)
    place, where = facts, []
    while isinstance(place, dict | list) and place:
        key = chance.choice(list(place) if isinstance(place, dict) else range(len(place)))
        where.append(key)
        if not isinstance(place[key], dict | list) or not place[key] or chance.random() < 0.25:
            break
        place = place[key]
    if chance.random() < 0.2:
        del place[key]
        what = "removed"
    else:
        place[key] = chance.choice(JSON_VALUES)
        what = f"→ {str(place[key])[:20]!r}"
    path.write_text(json.dumps(facts), encoding="utf-8")
    return f"{where} {what}"


def outcome(folder: Path, must: bool) -> str:
    """Makes a report of the folder's files without writing the drawings; returns what came of it."""
    try:
        with in_time(SECONDS), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            sources = read_sources(folder / "results.csv", folder / "gallery", folder / "evidence")
            made = {name: make(sources) for name, make in makers([sources.kind.learns]).items()}
            text = text_of(page("x", made).decode())
    except UserError as error:
        line = one_line(str(error))
        return "refused in one line" if str(folder) in line and len(line) < 1000 else f"wrong: {line}"
    except Exception as error:  # the attempt's whole point
        return f"wrong: {type(error).__name__}: {one_line(str(error))[:300]}"
    if must:
        return "wrong: accepted"
    told = re.search(r"(?<![\w'(\"])(nan|inf|NaT|<NA>)(?![\w'\"])(?! →)", re.sub(r"Settings, versions.*", "", text))
    return f"wrong: the page says {text[max(0, told.start() - 40) : told.end() + 20]!r}" if told else "survived"


@pytest.mark.parametrize("kind", ["labels", "captions"])
def test_no_file_ends_a_report_in_a_traceback(bases, attempts, tally, tmp_path, monkeypatch, kind):
    count = tally(f"changed inputs of a report about {kind}")
    # Drawings are made, but neither laid out nor written: that takes seconds, and says nothing more of the numbers.
    monkeypatch.setattr(ConstrainedLayoutEngine, "execute", lambda *_: None)
    blank = b'<svg viewBox="0 0 1 1"></svg>'
    monkeypatch.setattr(drawing, "files", lambda _, stem: {f"figures/{stem}.svg": blank})
    names = sorted(str(path.relative_to(bases[kind])) for path in bases[kind].rglob("*.*") if path.suffix != ".png")
    wrong = []
    for number in range(attempts(20, 750)):
        chance = random.Random(f"{kind} {number}")
        folder = tmp_path / str(number)
        shutil.copytree(bases[kind], folder)
        name = chance.choice([*names, "results.csv", "results.csv"])
        what, must = changed(chance, folder / name)
        came = outcome(folder, must)
        count.count(came.partition(":")[0])
        if came.startswith("wrong"):
            wrong.append(f"{kind} {number}: {name}: {what}: {came}")
        shutil.rmtree(folder)
    assert not wrong, "\n".join(wrong)
    assert count.harm == 0
