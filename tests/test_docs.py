"""The documentation's own truth: its links lead somewhere, and the commands, settings and files that it names exist."""

import itertools
import re
import shlex
import subprocess
import tomllib
from importlib import import_module
from pathlib import Path
from typing import Literal, get_args, get_origin

import pytest
import typer
from markdown_it import MarkdownIt
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split()
    if Path(name).name not in ("answer.md", "CHANGELOG.md") and "/tables/" not in name  # made by a run; about the past
)  # fmt: skip
COMMANDS = {
    package: typer.main.get_command(import_module(f"{package}.__main__").app)
    for package in ("data", "experiments", "reports", "vae")
}
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
TARGETS = set(re.findall(r"^([a-z][a-z-]*):", MAKEFILE, re.MULTILINE))
PARAMS = YAML(typ="safe").load(ROOT / "params.yaml")
MADE = tuple(  # by a run, and not in git
    line.strip("/*") for line in (ROOT / ".gitignore").read_text(encoding="utf-8").splitlines() if line.startswith("/")
)
TESTS = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))

COMMAND = re.compile(r"(?:^|[\s/])(make [a-z]|python3? -m |dvc |-S )")
PATH = re.compile(r"(?:data|vae|experiments|reports|tests|benchmarks|docs)/[\w./-]*\w/?")
MARKDOWN = MarkdownIt("commonmark").enable("table")


def parts_of(text):
    """The parts of a page of Markdown, inline ones after the block that holds them."""
    for block in MARKDOWN.parse(text):
        yield block
        yield from block.children or ()


def blocks_of_code(text):
    """Each line of a page's blocks of code, lines that a backslash continues joined."""
    for part in parts_of(text):
        if part.type in ("fence", "code_block"):
            yield from part.content.replace("\\\n", " ").splitlines()


def spans_of_code(text):
    """The code within a page's sentences."""
    return [part.content for part in parts_of(text) if part.type == "code_inline"]


def anchors(text):
    """The anchors of a page's headings, as code hosts name them."""
    blocks = MARKDOWN.parse(text)
    titles = [inline.content for start, inline in itertools.pairwise(blocks) if start.type == "heading_open"]
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def dead_links(page, text):
    """Relative links of a page that lead to no file, or to no heading in it."""
    links = [
        part.attrGet("href") or part.attrGet("src") for part in parts_of(text) if part.type in ("link_open", "image")
    ]
    for link in links:
        target, _, anchor = link.partition("#")
        file = (page.parent / target).resolve() if target else page
        if re.match(r"[a-z]+:", link):
            continue
        if not file.exists():
            yield f"{link}: there is no {target}"
        elif anchor and anchor not in anchors(text if file == page else file.read_text(encoding="utf-8")):
            yield f"{link}: {target or 'the page'} has no such heading"


def has_param(key):
    """Whether params.yaml has a setting of that dotted name."""
    value = PARAMS
    for part in key.split("."):
        if not isinstance(value, dict) or part not in value:
            return False
        value = value[part]
    return True


def wrong_settings(words):
    """Settings given by `-S` or `--set` that params.yaml does not have."""
    for flag, setting in itertools.pairwise(words):
        key = setting.partition("=")[0]
        if flag in ("-S", "--set") and key != "KEY" and not has_param(key):
            yield f"params.yaml has no {key}"


def wrong_targets(words):
    """What `make` is asked for, and the Makefile does not know."""
    for word in words:
        name, equals, _ = word.partition("=")
        if equals and f"$({name}" not in MAKEFILE and f"$(or $({name})" not in MAKEFILE:
            yield f"the Makefile has no variable {name}"
        elif not equals and word != "TARGET" and word not in TARGETS:
            yield f"the Makefile has no target {word}"


def wrong_arguments(package, words, whole):
    """What is wrong with the words behind `python -m PACKAGE`, by the package's own command line."""
    command, name = COMMANDS[package], f"python -m {package}"
    while hasattr(command, "commands"):
        if not words:
            return
        first, *words = words
        if first in ("--help", "COMMAND", "--version"):
            return
        if first not in command.commands:
            yield f"{name} has no command {first}"
            return
        command, name = command.commands[first], f"{name} {first}"
    options = {flag: option for option in command.params for flag in (*option.opts, *option.secondary_opts)}
    given, places, words = set(), [], list(words)
    while words:
        flag, equals, value = words.pop(0).partition("=")
        if not flag.startswith("-"):
            places.append(flag)
        elif flag == "--help":
            return
        elif flag not in options:
            yield f"{name} has no option {flag}"
            return
        else:
            option = options[flag]
            given.add(option.name)
            if not (getattr(option, "is_flag", False) or equals):
                value = words.pop(0) if words else ""
            kind = option.type_descriptor.annotation
            choices = get_args(kind) if get_origin(kind) is Literal else ()
            if choices and value not in choices:
                yield f"{name} {flag} does not take {value!r}"
    arguments = [param for param in command.params if param.param_type_name == "argument"]
    if len(places) > sum(param.nargs for param in arguments) and all(param.nargs > 0 for param in arguments):
        yield f"{name} does not take so many arguments: {' '.join(places)}"
    if whole:
        lacking = [option for option in options.values() if option.required and option.name not in given]
        lacking = {option.name for option in lacking if option not in arguments[: len(places)]}
        if lacking:
            yield f"{name} needs {', '.join(sorted(lacking))}"


def wrong_commands(text):
    """What is wrong with the commands that a page shows."""
    shown = [*((line, True) for line in blocks_of_code(text)), *((span, False) for span in spans_of_code(text))]
    for line, whole in shown:
        if not COMMAND.search(line):
            continue
        for part in re.split(r"&&|;|\|", re.sub(r"(^|\s)#.*", "", line)):
            words = shlex.split(part.replace("…", ""))
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                words.pop(0)
            yield from wrong_settings(words)
            if words[:1] == ["make"]:
                yield from wrong_targets(words[1:])
            elif len(words) > 2 and Path(words[0]).name in ("python", "python3") and words[1] == "-m":
                if words[2] in COMMANDS:
                    yield from wrong_arguments(words[2], words[3:], whole)
                elif words[2] == "pytest":
                    yield from (
                        f"there is no {word}" for word in words[3:] if "/" in word and not (ROOT / word).exists()
                    )


def is_module(name):
    """Whether there is a module, or a package, of that dotted name."""
    path = ROOT.joinpath(*name.split("."))
    return path.is_dir() or path.with_suffix(".py").is_file()


def wrong_names(text):
    """Settings, modules, files and tests that code spans of a page name and that do not exist."""
    for span in spans_of_code(text):
        key = re.match(r"[a-z_]+(?:\.[a-z0-9_-]+)+(?=$|:)", span)
        if (
            key
            and key.group().split(".")[0] in {*PARAMS, *COMMANDS}
            and not (has_param(key.group()) or is_module(key.group()))
        ):
            if (ROOT / span).suffix not in (".csv", ".yaml"):
                yield f"neither a setting nor a module: {span}"
        elif PATH.fullmatch(span) and not (ROOT / span).exists() and not span.strip("/").startswith(MADE):
            yield f"there is no {span}"
        elif span.startswith("test_") and f"def {span.removesuffix('…')}" not in TESTS:
            yield f"there is no test {span}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
@pytest.mark.parametrize("check", [wrong_commands, wrong_names])
def test_what_a_page_names_exists(page, check):
    assert not list(check(page.read_text(encoding="utf-8")))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    assert not list(dead_links(page, page.read_text(encoding="utf-8")))


def test_the_readme_is_short():
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= 150


def test_the_readme_says_why_each_dependency_is_there():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    asked = [*project["dependencies"], *(name for extra in project["optional-dependencies"].values() for name in extra)]
    names = {re.split(r"[\[=<>]", name)[0] for name in asked}
    rows = re.findall(r"^\| (.+?) \|", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE)
    explained = set(re.findall(r"[\w.-]+", " ".join(rows)))
    assert sorted(names - explained) == []


def test_every_page_is_in_the_site():
    site = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    names = {path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")}
    assert set(re.findall(r'"([\w/-]+\.md)"', site)) == names


@pytest.mark.parametrize("package", ["data", "experiments", "reports"])
def test_every_room_is_described(package):
    reference = (ROOT / "docs/reference" / f"{package}.md").read_text(encoding="utf-8")
    rules = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for room in (path.parent.name for path in (ROOT / package).glob("*/__init__.py")):
        assert f"`{package}.{room}`" in reference, room
        assert f"`{room}`" in rules, room


class TestTheChecksThemselves:
    """A mistake that is planted is noticed, and what is right is not."""

    @pytest.mark.parametrize(
        "text", ["[a](nowhere.md)", "![a](docs/no.png)", "[a](#nothing)", "[a](docs/search.md#no)"]
    )
    def test_dead_links(self, text):
        assert list(dead_links(ROOT / "README.md", f"# Title\n\n{text}\n"))

    def test_live_links(self):
        text = (
            "# A title: of it\n\n[a](docs/search.md#how-a-search-works) [b](#a-title-of-it) [c](https://example.org)\n"
        )
        assert not list(dead_links(ROOT / "README.md", text))

    @pytest.mark.parametrize(
        "command",
        [
            "make nothing",
            "make captions COLOUR=red",
            "python -m data fetch mnist",
            "python -m data download mnist --form x",
            "python -m data download mnist cifar-10",
            "python -m experiments plan --seed 3",
            "python -m vae caption a.png",
            "python -m vae caption a.png --trial 3fa9 --decoding worst",
            "python -m reports --into here",
            "dvc exp run -S profiles.default.repetition=3",
            "dvc exp run -S dataset=mnist -S vae.epoch=2",
            "python -m pytest tests/no/such.py",
        ],
    )
    @pytest.mark.parametrize("shown", ["```\n{}\n```", "Text:\n\n    {}   # why\n", "- a\n\n        {}\n"])
    def test_commands(self, command, shown):
        assert list(wrong_commands(shown.format(command)))

    @pytest.mark.parametrize(
        "command",
        [
            "make captions DATASET=emoji",
            "RAY_ADDRESS=http://HEAD:8265 dvc repro",
            "python -m data download folder --source /path/to/pictures",
            "python -m vae caption a.png b.png --trial 3fa9 --decoding greedy",
            "dvc exp run -S dataset=mnist -S profiles.default.repetitions=3",
            ".venv/bin/python -m pytest tests/test_docs.py",
        ],
    )
    def test_right_commands(self, command):
        assert not list(wrong_commands(f"Text:\n\n    {command}\n"))

    @pytest.mark.parametrize("text", ["`make nothing`", "`-S data.image=3`", "`python -m data\nfetch`"])
    def test_commands_in_the_text(self, text):
        assert list(wrong_commands(text))

    @pytest.mark.parametrize(
        "name", ["compute.stacks", "data/catalogue.py", "test_nothing_of_the_kind", "reports.sweep"]
    )
    def test_names(self, name):
        assert list(wrong_names(f"See `{name}`."))

    @pytest.mark.parametrize("name", ["compute.stack", "data/catalog.py", "test_names", "data.catalog", "data/raw/"])
    def test_right_names(self, name):
        assert not list(wrong_names(f"See `{name}`."))
