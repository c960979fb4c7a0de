"""Settings of every kind: each is refused in lines that name it, or it makes sense."""

import copy
import json
import math
from contextlib import suppress
from datetime import date, datetime
from itertools import islice
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data import catalog
from data.errors import UserError
from experiments.compute import resources
from experiments.learning import contract
from experiments.settings import config as settings_file
from experiments.settings.overrides import parse
from experiments.settings.yaml_text import values_of
from experiments.sweep.run import epoch_limit
from experiments.trials.grid import cells, number_of_cells
from experiments.trials.identity import canonical, hashed_settings
from tests.fuzz.hanging import in_time

PATH = Path(__file__).parents[2] / "params.yaml"
TEXT = PATH.read_text(encoding="utf-8")
SHIPPED = values_of(TEXT)
USUAL = settings_file.load(PATH)
LIMIT = 20  # seconds that an attempt may take
SHARES = {"warmup", "switch_warmup", "zoom", "crop", "dropout", "caption_dropout", "confidence"}


def paths_in(value, path=()):
    """The paths of all values in nested mappings and lists."""
    if path:
        yield path
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in inner:
        yield from paths_in(below, (*path, key))


def at(value, path):
    for key in path:
        value = value[key]
    return value


PATHS = list(paths_in(SHIPPED))
KEYS = [path for path in PATHS if isinstance(path[-1], str)]
WORDS = [*catalog.CATALOG, *contract.SYSTEMS.names(), "auto", "exact", "nvil", "rloo", "gumbel", "shared", "factorised"]
WORDS += [
    "mnist",
    "imagenet",
    "captions",
    "paper",
    "bfloat16",
    "gru",
    "greedy",
    "http://me:pw@host",
    "../x",
    "null",
    "1",
]
LETTERS = st.characters() | st.sampled_from(
    "\x00\x07\x1b\n\r\t\u0085\u2028\u202e\u200f\u2066\ufeff\u00a0é漢'\"{}[]:#&*!|>%@`"
)
NUMBERS = (
    st.integers(-3, 12)
    | st.integers(-(10**40), 10**40)
    | st.sampled_from([10**20, -(10**38), 10**400, 2**31, 2**63, 65_536, 65_537])
    | st.floats()
    | st.sampled_from([0.0, -0.0, 1e-320, 1e308, math.inf, -math.inf, math.nan, 0.5, 1.0, 1e10])
)
PLAIN = (
    st.none() | st.booleans() | NUMBERS | st.sampled_from(WORDS) | st.text(LETTERS, max_size=20)
    | st.dates() | st.datetimes() | st.binary(max_size=5)
)  # fmt: skip
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from([path[-1] for path in KEYS]) | st.text(LETTERS, max_size=8), inner, max_size=3
        )
        | st.dictionaries(st.booleans() | st.integers(0, 3) | st.none(), inner, max_size=2)
    ),
    max_leaves=6,
)


@st.composite
def near(draw, value):
    """A value like the one that stands there: so many pass the checks."""
    if isinstance(value, bool):
        return draw(st.sampled_from([not value, int(value), str(value)]))
    if isinstance(value, int | float):
        factor = draw(st.sampled_from([0, 0.1, 0.5, 1, 2, 3, 10, 1000, -1, 1e9, 1e300]))
        product = value * factor + draw(st.sampled_from([0, 0, 1, 0.5]))
        return int(product) if draw(st.booleans()) and math.isfinite(product) else product
    if isinstance(value, list):
        return draw(st.sampled_from([[*value, *value], value[:1], [], [value], [*value, draw(PLAIN)], value * 300]))
    if isinstance(value, dict):
        return {**value, draw(st.sampled_from([path[-1] for path in KEYS])): draw(PLAIN)}
    return draw(st.sampled_from(WORDS))


@st.composite
def changed_values(draw):
    """Settings with one change, as plain values, and the keys that a message about it may name."""
    path = draw(st.sampled_from(PATHS))
    made = copy.deepcopy(SHIPPED)
    section, key = at(made, path[:-1]), path[-1]
    kind = draw(st.sampled_from(["near", "near", "any", "any", "remove", "rename", "add"]))
    if kind in ("near", "any"):
        section[key] = draw(near(section[key]) if kind == "near" else VALUES)
    elif kind == "remove":
        del section[key]
    elif isinstance(section, list):
        section.append(draw(VALUES))
    else:
        new = draw(st.text(LETTERS, max_size=10) | st.sampled_from([path[-1] for path in KEYS]) | st.integers())
        section[new] = section.pop(key) if kind == "rename" else draw(VALUES)
        path = (*path, new)
    return made, [part for part in path if isinstance(part, str) and part]


@st.composite
def options(draw):
    """The text of an option `--set`."""
    path = draw(st.sampled_from([path for path in KEYS if all(isinstance(part, str) for part in path)]))
    key = ".".join(path)
    key = draw(st.sampled_from([*[key] * 12, key + ".x", key[:-1], key.replace(".", ".."), ""]))
    value = draw(near(at(SHIPPED, path)) | VALUES | st.text(LETTERS, max_size=30))
    try:
        text = value if isinstance(value, str) else json.dumps(value)
    except (TypeError, ValueError):
        text = str(value)
    return f"{key}{draw(st.sampled_from([*['='] * 9, '']))}{text}"


@st.composite
def texts(draw):
    """The text of a params.yaml with one change in its letters or lines."""
    lines = TEXT.splitlines(keepends=True)
    line = draw(st.integers(0, len(lines) - 1))
    kind = draw(st.sampled_from(["letter", "double", "drop", "cut", "anchor", "merge", "document", "indent", "tag"]))
    if kind == "letter":
        place = draw(st.integers(0, len(TEXT)))
        return TEXT[:place] + draw(st.text(LETTERS, min_size=1, max_size=3)) + TEXT[place + draw(st.integers(0, 2)) :]
    if kind == "cut":
        return TEXT[: draw(st.integers(0, len(TEXT)))]
    if kind == "document":
        return "".join(
            [*lines[:line], draw(st.sampled_from(["---\n", "...\n", "%YAML 1.1\n", "\t\n", "- a\n"])), *lines[line:]]
        )
    if kind in ("anchor", "tag"):
        mark = draw(
            st.sampled_from(
                ["&a ", "*a ", "!!str ", "!!int ", "!!set ", "!!binary ", "!!python/name:os.system ", "!x "]
            )
        )
        return "".join([*lines[:line], lines[line].replace(": ", f": {mark}", 1), *lines[line + 1 :]])
    changed = {
        "double": [lines[line]] * 2,
        "drop": [],
        "merge": [lines[line], "<<: *a\n"],
        "indent": [" " + lines[line]],
    }
    return "".join([*lines[:line], *changed[kind], *lines[line + 1 :]])


def use(config):
    """Works out all that is known of a sweep before its data are opened."""
    canonical(config.resolved())
    assert number_of_cells(config) >= 1
    assert all(cell[1] > 0 for cell in islice(cells(config), 1000))
    for used in config.settings.values():
        hashed_settings(used)
    assert config.text()
    assert config.repetitions >= config.profile.repetitions
    assert config.picture
    assert epoch_limit(config, 1.0) > 0
    for cores, gpus in ((4, 0), (64, 8)):
        with suppress(UserError):  # such a machine may be too small for what is asked
            assert resources.resolve(config.params.compute, cores, gpus).workers >= 1


def nonsense(config):
    """What no person could mean in settings that were accepted."""
    resolved = config.resolved()
    if not (1 <= resolved["repetitions"] <= 1000 and number_of_cells(config) <= 1_000_000):
        yield "more trials than anybody runs"
    if not all(0 < share <= 1 for share in resolved["proportions"]):
        yield "a proportion that is none"
    if not all(xi == "auto" or 0 <= xi < 1e15 for xi in resolved["xi"]):
        yield "a ξ that is none"
    for name in resolved["settings"]:
        for key, value in config.settings[name]:
            usual = getattr(USUAL.settings[name], key)
            where = f"{name}.{key} = {value!r}"
            if isinstance(value, bool) != isinstance(usual, bool):
                yield f"{where}: true or false for something else"
            if isinstance(usual, int) and not isinstance(value, int | None):
                yield f"{where}: no whole number"
            if isinstance(value, int | float) and not (math.isfinite(value) and abs(value) <= 1e7):
                yield f"{where}: beyond all measure"
            if isinstance(value, int | float) and key != "log_alpha" and value < 0:
                yield f"{where}: below nothing"
            if key.endswith("batch") and not 1 <= value <= 65_536:
                yield f"{where}: no size of a batch"
            if key.endswith("learning_rate") and not 0 < value <= 1:
                yield f"{where}: no learning rate"
            if key in SHARES and not 0 <= value <= 1:
                yield f"{where}: no share"
            if isinstance(value, str) and not value.isprintable():
                yield f"{where}: not to be read"
    for key, value in resolved["compute"].items():
        if isinstance(value, bool) or (value is not None and not 0 <= value <= 1e8):
            yield f"compute.{key} = {value!r}"


def outcome(make, named):
    """What becomes of settings: how the attempt ended, and why where it is wrong.

    `named` are words of which the message of a refusal must have one.
    """
    try:
        with in_time(LIMIT):
            try:
                config = make()
            except UserError as refused:
                lines = str(refused).splitlines()
                if not all(line.isprintable() and len(line) < 800 for line in lines) or len(lines) > 25:
                    return "wrong", f"not to be read: {refused}"
                if not any(word in str(refused) for word in named):
                    return "wrong", f"names none of {named}: {refused}"
                return "refused in one line", ""
            use(config)
            found = "; ".join(nonsense(config))
            return ("wrong", f"accepted: {found}") if found else ("survived", "")
    except Exception as error:  # the very thing that is looked for
        return "wrong", f"{type(error).__name__}: {error}"


def try_all(table, number, attempts_of, make, named):
    """Makes attempts and counts what becomes of them; prints what is wrong."""

    @settings(
        max_examples=number, derandomize=True, database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(attempts_of)
    def attempt(tried):
        ended, why = outcome(lambda: make(tried), named(tried))
        table.count(ended)
        if ended == "wrong":
            print(f"{why[:500]}\n  of {str(tried)[-300:] if isinstance(tried, str) else named(tried)}")

    attempt()
    assert table.harm == 0


def test_values_of_every_kind_at_every_key(attempts, tally, monkeypatch):
    def make(tried):
        monkeypatch.setattr(settings_file, "_read", lambda _: tried[0])
        return settings_file.load(PATH)

    def named(tried):
        return [*tried[1], "unknown key", "the key"]

    try_all(tally("settings in params.yaml"), attempts(200, 5_000), changed_values(), make, named)


def test_options_of_every_kind(attempts, tally, monkeypatch):
    def make(tried):
        monkeypatch.setattr(settings_file, "_read", lambda _: copy.deepcopy(SHIPPED))
        return settings_file.load(PATH, parse([tried]))

    try_all(tally("settings by --set"), attempts(100, 3_500), options(), make, lambda _: ["--set"])


def test_texts_of_every_kind(attempts, tally, tmp_path):
    path = tmp_path / "params.yaml"

    def make(tried):
        path.write_text(tried, encoding="utf-8", errors="surrogatepass", newline="")
        return settings_file.load(path)

    try_all(tally("texts of params.yaml"), attempts(40, 1_500), texts(), make, lambda _: ["params.yaml"])


def test_nonsense_is_noticed():
    usual = USUAL.settings["bsvm"]
    assert list(nonsense(USUAL)) == []
    for changes in ({"epochs": True}, {"batch": 10**9}, {"precision": math.inf}, {"weight_decay": -1.0}, {"zoom": 2.0}):
        made = copy.copy(USUAL)
        made.settings = {**USUAL.settings, "bsvm": usual.model_copy(update=changes)}
        assert list(nonsense(made)), changes


def test_dates_are_among_the_values():
    assert isinstance(values_of("2020-01-01"), date)
    assert isinstance(values_of("2020-01-01 10:00:00"), datetime)
