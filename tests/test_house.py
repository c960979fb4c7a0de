"""The rules of the house, read from the code itself: who may import whom, and how modules are called.

CONTRIBUTING.md explains them. Lazy imports count too.
"""

import ast
import itertools
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Packages, and the packages that each may import.
PACKAGES = {
    "data": set(),
    "vae": set(),
    "experiments": {"data", "vae"},
    "reports": set(),
    "benchmarks": {"data", "vae", "experiments"},
}
# A command that puts parts of several packages together: what it imports beyond its package's own allowance.
# `python -m vae caption` loads a trained model from the trial store and prepares pictures as `data` does.
COMMANDS = {
    "vae.__main__": {
        "data.errors",
        "data.output",
        "data.version",
        "data.formats.pictures",
        "experiments.trial_store.folders",
    },
}
# Rooms and files of a package from top to bottom: each may import what stands below it, and what is not named here,
# the package's leaf files. Those in one line do not know each other.
ORDER = {
    "data": (
        {"__main__"}, {"listing", "stages"}, {"catalog"}, {"remote"}, {"labelled"}, {"prepared"}, {"official"},
        {"formats"}, {"scenes"}, {"workers"},
    ),
    "vae": ({"__main__"},),
    "experiments": (
        {"__main__"}, {"options"}, {"search", "studies"}, {"sweep"}, {"cluster"}, {"tracking"}, {"trials"}, {"compute"},
        {"settings"}, {"systems", "trial_store"}, {"learning"},
    ),
    "benchmarks": ({"__main__"}, {"gpu"}),
    "reports": ({"__main__"}, {"page"}, {"artefacts"}, {"writing"}, {"drawing"}, {"inputs", "analysis"}),
}  # fmt: skip
# Rooms that may import fewer than the order allows them.
ONLY = {"experiments.systems": {"learning"}, "experiments.trial_store": set()}
PLUGINS = {"data.formats", "vae.estimators", "experiments.systems", "experiments.studies", "reports.artefacts"}
MOST_FILES = 20  # in a folder of modules, plug-ins aside
WRITTEN = {
    "data": {"raw", "processed", "splits"},
    "experiments": {"store", "gallery"},
    "reports": {"tables", "figures", "plots"},
}
ENDINGS = ("ies", "y", "ations", "ation", "ings", "ing", "ions", "ion", "ers", "er", "ed", "es", "s", "e")


def modules():
    """Every module of the project by dotted name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports_of(text, known):
    """Those of the known modules that some code imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        found.update(name for name in names if name in known)
    return found


MODULES = modules()
IMPORTS = {name: imports_of(path.read_text(encoding="utf-8"), MODULES) for name, path in MODULES.items()}


def room_of(name):
    """The room of a module, or the module itself where it lies in no room: `experiments.sweep`, `data.errors`."""
    return ".".join(name.split(".")[:2])


def order_of(room):
    """How far down its package a room stands; leaf files are lowest."""
    package, _, name = room.partition(".")
    places = [place for place, rooms in enumerate(ORDER.get(package, ())) if name in rooms]
    return places[0] if places else len(ORDER.get(package, ()))


def wrong_imports(name, imported):
    """Why a module may not import some of what it imports."""
    room, package = room_of(name), name.split(".")[0]
    for other in sorted(imported):
        theirs, their_package = room_of(other), other.split(".")[0]
        if their_package != package:
            if their_package not in PACKAGES[package] and other not in COMMANDS.get(name, ()):
                yield f"{name} imports {other}: {package} may not import {their_package}"
        elif theirs not in (room, package):
            leaf = order_of(theirs) == len(ORDER[package])
            lower = order_of(room) < order_of(theirs) or (leaf and order_of(room) == order_of(theirs))
            allowed = room not in ONLY or leaf or theirs.partition(".")[2] in ONLY[room]
            if not (lower and allowed):
                yield f"{name} imports {other}: {room} may not import {theirs}"


def cycle_in(graph):
    """Nodes that import each other, in a cycle of any length: what is left when all is removed that imports nothing."""
    left = {name: set(imported) - {name} for name, imported in graph.items()}
    while removable := [name for name, imported in left.items() if not imported & left.keys()]:
        for name in removable:
            del left[name]
    return sorted(left)


def rooms_graph(imports):
    """Which room imports which."""
    graph = {}
    for name, imported in imports.items():
        graph.setdefault(room_of(name), set()).update(map(room_of, imported))
    return graph


def stem(name):
    """A module's name without the ending of a plural, a person or an action: `tracker` and `tracking` are `track`."""
    ending = next((ending for ending in ENDINGS if name.endswith(ending) and len(name) - len(ending) > 2), "")
    return name.removesuffix(ending)


def look_alikes(names):
    """Pairs of different modules' names in one package that differ by an ending alone."""
    last = sorted({name.rpartition(".")[2] for name in names})
    return [(one, other) for one, other in itertools.combinations(last, 2) if stem(one) == stem(other)]


def test_the_packages_are_there():
    assert {name.split(".")[0] for name in MODULES} == set(PACKAGES)


def test_every_room_has_its_place():
    for package, order in ORDER.items():
        named = set().union(*order)
        there = {name.split(".")[1] for name in MODULES if name.startswith(f"{package}.")}
        assert named <= there
        folders = {path.parent.name for path in (ROOT / package).glob("*/__init__.py")}
        assert folders - named <= {"estimators", "kernels"}


@pytest.mark.parametrize("name", MODULES)
def test_nothing_imports_upward(name):
    assert not list(wrong_imports(name, IMPORTS[name]))


def test_no_two_files_import_each_other():
    assert not cycle_in(IMPORTS)


def test_no_two_rooms_import_each_other():
    assert not cycle_in(rooms_graph(IMPORTS))


@pytest.mark.parametrize("package", PACKAGES)
def test_no_two_modules_are_called_nearly_the_same(package):
    assert not look_alikes(name for name in MODULES if name.startswith(f"{package}.") and name not in ROOMS)


ROOMS = {name for name, path in MODULES.items() if path.name == "__init__.py"}


@pytest.mark.parametrize("folder", sorted({path.parent.relative_to(ROOT) for path in MODULES.values()}), ids=str)
def test_no_folder_is_crowded(folder):
    if ".".join(folder.parts) not in PLUGINS:
        assert len(list((ROOT / folder).glob("*.py"))) <= MOST_FILES


@pytest.mark.parametrize("package", WRITTEN)
def test_no_module_is_called_like_a_folder_that_a_run_writes(package):
    assert not {path.stem for path in (ROOT / package).glob("*.py")} & WRITTEN[package]


def test_the_model_knows_no_orchestration():
    foreign = {"ray", "mlflow", "dvc", "pandas", "optuna", "yaml", "pathlib", "pydantic"}
    for name, path in MODULES.items():
        if name.split(".")[0] != "vae":
            continue
        # The command has to open files, and a compiler reads its sources.
        known = {"pathlib"} if name in ("vae.__main__", "vae.kernels.compiled") else set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                roots = {(node.module or "").split(".")[0]} if isinstance(node, ast.ImportFrom) else set()
                roots |= {a.name.split(".")[0] for a in node.names} if isinstance(node, ast.Import) else set()
                assert not roots & foreign - known, f"{name} imports {roots & foreign}"


class TestTheRulesThemselves:
    """A mistake that is planted is found."""

    @pytest.mark.parametrize(
        ("name", "code"),
        [
            ("vae.model", "from data.seeds import seed_of"),
            ("vae.captioner", "from data.formats.pictures import decoded"),
            ("vae.__main__", "from experiments.settings.config import load"),
            ("experiments.trials.run", "def late():\n    from experiments.sweep import cost"),
            ("experiments.systems.bsvm", "from experiments.trial_store.folders import TrialFolder"),
            ("experiments.trial_store.folders", "from experiments.learning.contract import Task"),
            ("data.errors", "import experiments.settings.config"),
            ("reports.inputs.results", "from reports.analysis import statistics"),
            ("data.formats.idx", "from data.official import download"),
        ],
    )
    def test_an_import_upward(self, name, code):
        assert list(wrong_imports(name, imports_of(code, MODULES)))

    def test_a_cycle_of_rooms(self):
        graph = rooms_graph({**IMPORTS, "data.scenes.chance": {"data.labelled.text"}})
        assert {"data.scenes", "data.labelled"} <= set(cycle_in(graph))

    def test_names(self):
        pairs = [("tracker", "tracking"), ("trial", "trials"), ("study", "studies"), ("captioner", "captioning")]
        for one, other in pairs:
            assert look_alikes([f"a.{one}", f"b.{other}"]) == [tuple(sorted((one, other)))]
        assert not look_alikes(["a.record", "b.record", "a.grid", "a.sweep"])
