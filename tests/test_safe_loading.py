"""What is read, run or rendered cannot run code of its own: rules for the whole tree, read from the code itself.

SECURITY.md says which files are trusted. These rules hold for the trusted ones too.
"""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CODE = sorted(path for package in ("data", "vae", "experiments", "reports", "benchmarks")
              for path in (ROOT / package).rglob("*.py"))  # fmt: skip
TEMPLATES = sorted((ROOT / "reports" / "templates").glob("*.html"))
# Modules that run code which a file holds, or that have no other use.
MODULES = {"pickle", "cloudpickle", "dill", "joblib", "marshal", "shelve", "pty", "xmlrpc"}
BUILTINS = {"eval", "exec", "compile", "__import__"}
# From the end of a call's name to what it must be given, as text of code.
NEEDED = {
    "torch.load": {"weights_only": "True"},
    "np.load": {"allow_pickle": "False"},
    "numpy.load": {"allow_pickle": "False"},
    "Image.open": {"formats": None},  # Pillow hands some formats to other programs
    "jinja2.Environment": {"autoescape": "True"},
    "Environment": {"autoescape": "True"},
}
FORBIDDEN = (
    *("os.system", "os.popen", "yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load", "pd.read_pickle"),
    *("torch.jit.load", "pandas.read_pickle", "tempfile.mktemp", "shutil.unpack_archive"),
    *("ssl._create_unverified_context", "jinja2.Template"),
)
EXTRACTING = (".extractall", ".extract")
# Where markup is made of text: each of these escapes what it puts in.
MARKUP = {"reports/writing/templating.py", "reports/writing/embedding.py"}


def faults(text, name="module.py"):
    """What some code does that could run what a file holds."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            yield from (f"{name} imports {one}" for one in names if one.split(".")[0] in MODULES)
        elif isinstance(node, ast.Assign):
            if any("MAX_IMAGE_PIXELS" in ast.unparse(target) for target in node.targets):
                yield f"{name} changes Pillow's limit of pixels"
        elif isinstance(node, ast.Call):
            yield from (f"{name}, line {node.lineno}: {fault}" for fault in faults_of_call(node, name))


def faults_of_call(call, name):
    """What is wrong with one call."""
    function = ast.unparse(call.func)
    given = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
    if function in BUILTINS or function in FORBIDDEN or "cloudpickle" in function:
        yield f"{function} is called"
    for keyword, value in NEEDED.get(function, {}).items():
        if keyword not in given or value not in (None, given[keyword]):
            yield f"{function} needs {keyword}" + (f"={value}" if value else "")
    if given.get("shell", "False") != "False":
        yield f"{function} runs a shell"
    if given.get("verify", "True") == "False":
        yield f"{function} does not look at certificates"
    if given.get("trust_remote_code", "False") != "False":
        yield f"{function} runs what it reads"
    if function.startswith("subprocess.") and call.args and isinstance(call.args[0], ast.Constant | ast.JoinedStr):
        yield f"{function} takes a line of text for a command"
    if function.endswith(EXTRACTING):
        yield f"{function} writes under names that an archive gives"
    if function == "YAML" and given.get("typ", "'safe'") not in ("'safe'", "'rt'"):
        yield f"{function} makes objects of any class"
    if function == "Markup" and name not in MARKUP and not all(isinstance(one, ast.Constant) for one in call.args):
        yield f"{function} lets text pass unescaped"


@pytest.mark.parametrize("path", CODE, ids=lambda path: str(path.relative_to(ROOT)))
def test_nothing_that_is_read_runs(path):
    assert not list(faults(path.read_text(encoding="utf-8"), str(path.relative_to(ROOT))))


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.name)
def test_templates_escape_and_load_nothing(path):
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"\|\s*safe\b|autoescape|<script|<iframe|\bon\w+=|javascript:", text)
    assert not re.search(r"(src|href)=\"https?:", text)
    assert "<html" not in text or '{% include "policy.html" %}' in text
    # An address that begins with text from elsewhere could be one that runs.
    addresses = re.findall(r'(?:src|href)="(\{\{[^}]*\}\})', text)
    assert set(addresses) <= {"{{ entry.uri }}", "{{ page }}"}


@pytest.mark.parametrize(
    "mistake",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "np.load(path)",
        "np.load(path, allow_pickle=True)",
        "eval(text)",
        "yaml.load(text)",
        "YAML(typ='unsafe')",
        "subprocess.run('ls ' + name, shell=True)",
        "subprocess.run(f'ls {name}')",
        "os.system('ls')",
        "tar.extractall(folder)",
        "Image.open(path)",
        "Image.MAX_IMAGE_PIXELS = None",
        "Environment(loader=loader)",
        "Markup(text)",
        "requests.get(url, verify=False)",
    ],
)
def test_a_planted_mistake_is_noticed(mistake):
    assert len(list(faults(mistake))) == 1


def test_what_is_allowed_passes():
    allowed = "torch.load(f, weights_only=True)\nnp.load(f, allow_pickle=False)\nYAML(typ='safe').load(t)\n"
    assert not list(faults(allowed + "subprocess.run([name], check=True)\nyaml.safe_dump(x)\nmodel.eval()"))
