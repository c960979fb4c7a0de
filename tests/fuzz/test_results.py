"""Edited files of a finished trial store: each is refused in one line, or what is shown of it holds."""

import copy
import json
import math
import random
import shutil
from pathlib import Path

import pytest

from data.errors import UserError
from data.labelled.splits import Splits
from data.prepared.store import ImageStore
from experiments.files import write_csv, write_json
from experiments.learning.device import set_up
from experiments.settings.config import load
from experiments.sweep import results
from experiments.sweep.cost import Costs
from experiments.sweep.overview import print_status, result_faults
from experiments.sweep.predictions import write_predictions
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout
from experiments.trial_store.log import find, lines
from experiments.trials.grid import trials
from experiments.trials.run import run_trial
from reports.inputs.results import read_results
from tests.experiments.sweeping import table
from tests.fuzz.hanging import in_time

JSON_FILES = ("result.json", "config.json", "failure.json", "metrics.jsonl", "predictions.json")
ODD = (
    None, True, False, 0, -1, 1, 3.5, 101, -0.0, 1e308, -1e308, 10**20, 10**400, math.nan, math.inf, -math.inf, "",
    "x", "12.5", "=1+1", "\x1b[2J", "two\nlines", "ξ", "a\u0301", "\U0001f40e" * 50, "y" * 5000, [], {}, [1], [[]],
    {"a": 1}, [None], {"": {"": {}}},
)  # fmt: skip


def places(value, at=()):
    """Yields the place of each value within a plain value."""
    if at:
        yield at
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in inner:
        yield from places(one, (*at, key))


def edited_value(draw, value):
    """Returns a copy of a plain value with one odd value, one key more, or one key fewer in it."""
    value = copy.deepcopy(value)
    *above, key = draw.choice(list(places(value)))
    holder = value
    for step in above:
        holder = holder[step]
    way = draw.randrange(4)
    if way == 0:
        del holder[key]
    elif way == 1 and isinstance(holder, dict):
        holder[draw.choice(["", "__class__", "elbo", "reason", "ξ"])] = draw.choice(ODD)
    elif way == 2 and isinstance(holder[key], int | float):
        holder[key] = holder[key] * draw.choice([-1, 1e3, 1e30, 1e-30]) + draw.choice([0, 1, -1, 0.5])
    else:
        holder[key] = draw.choice(ODD)
    return value


def edited_text(draw, text):
    """Returns a file's bytes cut, filled or replaced as a bad disk or a careless editor does."""
    content = text.encode()
    start, length = draw.randrange(len(content)), draw.randrange(1, 200)
    return draw.choice(
        [
            content[:start],
            content[start:],
            content[:start] + bytes(length) + content[start + length :],
            content[:start] + draw.randbytes(8) + content[start:],
            content + content,
            b"\xef\xbb\xbf" + content,
            text.encode("utf-16"),
            b"[" * 100_000,
            b'{"epochs": ' * 500 + b"1" + b"}" * 500,
            b"",
            b"null",
            b"1e999",
        ]
    )


def edit(draw, path, others):
    """Edits a stored file in one of many ways; `others` are contents of the same file of other trials."""
    text = path.read_text() if path.exists() else '{"reason": "it broke", "details": "Traceback"}\n'
    way = draw.randrange(6)
    if way == 0:
        path.write_bytes(edited_text(draw, text))
    elif way == 1 and others:
        path.write_text(draw.choice(others))
    elif path.suffix == ".jsonl":
        kept = text.splitlines()
        number = draw.randrange(len(kept))
        kept[number] = json.dumps(edited_value(draw, json.loads(kept[number])))
        path.write_text("\n".join(kept) + "\n")
    else:
        value = json.loads(text)
        for _ in range(draw.choice([1, 1, 3])):
            value = edited_value(draw, value) if value else value
        path.write_text(json.dumps(value, indent=2))


class Store:
    """A finished store, what is in its files, and what commands do with it in this process."""

    def __init__(self, wanted, store):
        self.wanted, self.store = wanted, store
        self.edited = wanted[0]
        self.folder = store.folder(self.edited.identity)
        self.whole = Path("whole")
        shutil.copytree(store.root, self.whole)
        self.expected = [results.row(trial, store, {}) for trial in wanted]
        write_csv(Path("whole.csv"), results.COLUMNS, self.expected)
        self.lines = table(Path("whole.csv"))

    def others(self, name):
        """Returns the contents of the same file of the other trials."""
        return [(self.whole / trial.identity / name).read_text() for trial in self.wanted[1:] if name != "failure.json"]

    def restore(self):
        shutil.rmtree(self.store.root)
        shutil.copytree(self.whole, self.store.root)

    def look(self):
        """Does what status, plan, log and the writers of a sweep do; returns the rows and what was told."""
        print_status(self.wanted, self.store)
        costs = Costs(self.wanted, self.store, Layout(), set_up(1, False), budget=0.01, each_proportion=True)
        assert all(math.isfinite(costs.measured[key]) for key in costs.measured)
        told = result_faults(self.wanted, self.store) + self.folder.faults()
        try:
            shown = lines(find(self.store, self.edited.identity))
        except UserError as error:
            shown = [str(error)]
        assert not any("\x1b" in line for line in shown)
        rows = [results.row(trial, self.store, {}) for trial in self.wanted]
        write_csv(Path("results.csv"), results.COLUMNS, rows)
        write_csv(Path("averaging.csv"), results.AVERAGING, results.averaging_rows(self.wanted, self.store))
        write_csv(Path("subsets.csv"), results.SUBSETS, results.subset_rows(self.wanted, self.store))
        images, splits = ImageStore.open(Layout().processed("mnist-5k")), Splits.open(Layout().splits("mnist-5k"))
        told += write_predictions(Path("predictions.csv.gz"), self.wanted, self.store, images, splits.test)
        done = [result for trial in self.wanted if (result := self.store.folder(trial.identity).result())]
        write_json(Path("facts.json"), {"trial_seconds": sum(result["seconds"] for result in done)})
        results.write_gallery(Path("gallery"), self.wanted, self.store, {})
        read_results(Path("results.csv"))
        assert all("\n" not in fault for fault in told)
        return table(Path("results.csv")), told


@pytest.fixture
def finished(world):
    """A store of three done trials of one system and one of another, and the facts of a sweep."""
    world.params(default={"systems": ["toy-bounded"], "repetitions": 3}, toys={"epochs": 2})
    wanted, store = trials(load(Path("params.yaml")), Layout()), TrialStore(Layout().store)
    for trial in wanted:
        run_trial(trial, Layout(), store.folder(trial.identity), set_up(1, False), lambda row: None)
    return Store(wanted, store)


def judged(finished, name):
    """Returns what came of an edit, and the reason where it did harm."""
    lines, told = finished.look()
    edited, *others = lines
    if others != finished.lines[1:]:
        return "wrong", "the rows of other trials changed"
    if edited == finished.lines[0]:
        return "survived", ""
    if name != "result.json" and edited["status"] == "done":
        return "wrong", "its result stands, and its row changed"
    if edited["status"] == "done":
        result = json.loads((finished.folder.path / "result.json").read_text())
        if result.get("identity", finished.edited.identity) != finished.edited.identity:
            return "wrong", "a copied result is in the table"
        return "survived", ""
    return ("refused in one line", "") if told else ("lost", "nothing was said")


def test_edited_results_never_reach_a_table(finished, attempts, tally):
    counted = tally("edited files of a finished store")
    for number in range(attempts(60, 1500)):
        draw = random.Random(f"results {number}")
        name = draw.choice([*JSON_FILES, "result.json", "result.json", "result.json"])
        with in_time(20):
            edit(draw, finished.folder.path / name, finished.others(name))
            content = (finished.folder.path / name).read_bytes()[:3000]
            try:
                outcome, why = judged(finished, name)
            except UserError as error:
                outcome, why = ("refused in one line", "") if "\n" not in str(error) else ("wrong", "several lines")
            except Exception as error:
                outcome, why = "wrong", f"{type(error).__name__}: {error}"
            finished.restore()
        counted.count(outcome)
        if why:
            print(f"attempt {number}, {name}: {why}: {content!r}")
    assert counted.harm == 0
