"""The documentation's own truth: its links lead somewhere, and the commands, settings and files that it names exist."""

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

from data import catalog
from experiments.learning.contract import SYSTEMS
from tests.page_checks import ROOT, TARGETS, dead_links, wrong_commands, wrong_names
from vae.estimators.contract import estimator_names

PAGES = sorted(
    ROOT / name
    for name in subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    ).stdout.split()
    if Path(name).name not in ("answer.md", "CHANGELOG.md") and "/tables/" not in name  # made by a run; about the past
)  # fmt: skip


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


@pytest.mark.parametrize("target", sorted(TARGETS - {"help"}))
def test_what_make_runs_exists(target):
    dry = subprocess.run(
        ["make", "--dry-run", "--old-file=setup", target], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert not list(wrong_commands(f"```\n{dry.stdout}\n```"))
    assert "params.yaml" not in dry.stdout


@pytest.mark.parametrize("package", ["data", "experiments", "reports"])
def test_every_room_is_described(package):
    reference = (ROOT / "docs/reference" / f"{package}.md").read_text(encoding="utf-8")
    rules = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for room in (path.parent.name for path in (ROOT / package).glob("*/__init__.py")):
        assert f"`{package}.{room}`" in reference, room
        assert f"`{room}`" in rules, room


@pytest.mark.parametrize(
    ("page", "names"),
    [("systems", SYSTEMS.names()), ("systems", estimator_names()), ("datasets", sorted(catalog.CATALOG))],
    ids=["systems", "estimators", "datasets"],
)
def test_every_plug_in_has_a_row(page, names):
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    assert [name for name in names if f"`{name}`" not in text] == []


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
