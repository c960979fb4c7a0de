"""What is wrong with a page of documentation: dead links, and names of commands, settings, files and tests that do not
exist."""

import itertools
import re
import shlex
from importlib import import_module
from pathlib import Path
from typing import Literal, get_args, get_origin

import typer
from markdown_it import MarkdownIt
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[1]
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
