"""Names that look like HTML, LaTeX, Markdown, mathematics or formulas are text in every file of a report."""

from __future__ import annotations

import csv
import re
import shutil
import subprocess
import warnings
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from reports.__main__ import build
from reports.writing.escaping import FORMULA
from tests.reports import hostile
from tests.reports.hostile import NAMES, RAN

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PAGES = {"labels": ("index.html", "answer.html"), "captions": ("index.html", "answer.html", "figures/examples.html")}
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium was found")
needs_latex = pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex was found")
HTML = set(
    re.findall(
        r"\w+",
        """a article b body br caption circle clippath code dd defs details div dl dt figcaption figure g h1 h2 h3 head
        header html i img li line link main mark meta nav ol p path pre rect section span style summary svg table tbody
        td text th thead title tr ul use""",
    )
)
DESCRIBED = {"metadata", "rdf", "work", "type", "creator", "agent", "format"}  # of a drawing's metadata


@pytest.fixture(scope="module", params=PAGES)
def made(request, world, tmp_path_factory) -> tuple[Path, str]:
    """The folder of a report that is full of such names, and what it is about."""
    folder = tmp_path_factory.mktemp("hostile")
    sweep = hostile.write(folder, world, request.param)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        build(sweep.results, sweep.gallery, sweep.evidence, folder / "out")
    return folder / "out", request.param


class Elements(HTMLParser):
    """The elements of a page, each with its attributes."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.found.append((tag, dict(attrs)))


def assert_harmless(html: str) -> None:
    """Asserts that a page has no element, attribute or address beyond the expected kinds."""
    for tag, attributes in Elements(html).found:
        assert tag in HTML, tag
        assert not [name for name in attributes if name.startswith("on") or name in ("autofocus", "srcdoc")], attributes
        for name in ("src", "href", "xlink:href", "action", "data"):
            address = attributes.get(name) or "#"
            assert re.match(r"#|data:image/png;base64,|data:,$|(\.\./)?(index|answer)\.html$|figures/examples", address)


def test_a_page_has_no_element_and_no_address_that_a_name_made(made):
    out, about = made
    for path in (*map(out.joinpath, PAGES[about]), *(out / "tables").glob("*.html")):
        html = path.read_text(encoding="utf-8")
        assert_harmless(html)
        assert "default-src 'none'" in html
        assert not re.search("[\x00-\x08\x0b-\x1f\u202a-\u202e]", html)
    text = (out / "index.html").read_text(encoding="utf-8")
    assert "{{7*7}}" in text
    assert "evil" in text


@needs_browser
@pytest.mark.slow
def test_nothing_runs_in_a_browser(made, tmp_path):
    out, about = made
    for name in PAGES[about]:
        html = (out / name).read_text(encoding="utf-8")
        bare, count = re.subn(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", html)
        assert count == 1
        # Without its policy, by its escaping alone; and by its policy alone, against a script in it.
        shown = in_browser(tmp_path, bare)
        assert "<title>ran</title>" not in shown
        assert_harmless(shown)
        planted = f"</body><script>{RAN}</script>"
        assert "<title>ran</title>" not in in_browser(tmp_path, html.replace("</body>", planted))
    assert "<title>ran</title>" in in_browser(tmp_path, bare.replace("</body>", planted))  # the test can see it


def in_browser(folder: Path, html: str) -> str:
    """Returns the page after a browser has loaded it and run what runs."""
    (folder / "page.html").write_text(html, encoding="utf-8")
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={folder / 'profile'}"]
    command += ["--virtual-time-budget=1000", "--dump-dom", (folder / "page.html").as_uri()]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    return done.stdout.decode(errors="replace")


@needs_browser
@pytest.mark.slow
def test_the_policy_forbids_nothing_that_a_page_needs(report, tmp_path):
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'profile'}"]
    command += ["--enable-logging=stderr", "--virtual-time-budget=1000", "--dump-dom", (report / "index.html").as_uri()]
    done = subprocess.run(command, capture_output=True, timeout=120, check=True)
    assert b"Content Security Policy" not in done.stderr
    assert b"data:image/png" in done.stdout


def test_drawings_are_pictures_and_nothing_else(made):
    out, _ = made
    for path in (out / "figures").glob("*.svg"):
        for element in ElementTree.fromstring(path.read_bytes()).iter():
            assert element.tag.rpartition("}")[2].lower() in HTML | DESCRIBED
            assert not [name for name in element.attrib if name.lower().startswith("on")]


def test_no_cell_of_a_table_is_a_formula_and_numbers_stay_numbers(made):
    out, _ = made
    negative = 0
    for path in (*(out / "tables").glob("*.csv"), *(out / "plots").glob("*.csv")):
        with path.open(encoding="utf-8", newline="") as file:
            for row in csv.reader(file):
                for cell in row:
                    if cell and cell[0] in FORMULA:
                        negative += 1
                        float(cell)
    text = (out / "tables" / "bound.csv").read_text(encoding="utf-8")
    assert "'+1+1," in text
    assert "'-2+3," in text
    assert "\"'=HYPERLINK(" in text


def test_markdown_shows_every_name_as_it_is_written(made):
    out, _ = made
    parser = MarkdownIt("commonmark").enable("table")
    text = (out / "tables" / "bound.md").read_text(encoding="utf-8")
    cells = [part.content for part in parser.parse(text) if part.type == "inline"]
    tokens = [child for part in parser.parse(text) for child in part.children or ()]
    assert {token.type for token in tokens} <= {
        "text",
        "text_special",
        "strong_open",
        "strong_close",
        "em_open",
        "em_close",
    }
    shown = {"".join(child.content for child in part.children) for part in parser.parse(text) if part.type == "inline"}
    assert set(NAMES) <= shown, cells
    for path in out.rglob("*.md"):
        for part in parser.parse(path.read_text(encoding="utf-8")):
            assert part.type != "html_block" or re.fullmatch(
                r"</?details>(<summary>\d+ trials</summary>)?\s*", part.content
            )
            kinds = {child.type for child in part.children or ()}
            assert not kinds & {"link_open", "image", "html_inline"}, part.content


@needs_latex
@pytest.mark.slow
def test_every_table_compiles(made, tmp_path):
    out, _ = made
    tables = sorted((out / "tables").glob("*.tex"))
    assert tables
    body = "\n".join(f"\\input{{{path.resolve()}}}\\clearpage" for path in tables)
    document = f"\\documentclass{{article}}\\usepackage{{booktabs}}\\begin{{document}}\n{body}\n\\end{{document}}\n"
    (tmp_path / "all.tex").write_text(document, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "all.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stdout.decode(errors="replace")[-3000:]
    if shutil.which("pdftotext"):
        text = subprocess.run(
            ["pdftotext", "-layout", "all.pdf", "-"], cwd=tmp_path, capture_output=True
        ).stdout.decode()
        assert "[12pt]" in text
        assert r"\input{/etc/passwd}" in text
