"""Who may import whom, read from the code itself."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ALLOWED = {
    "data": set(),
    "vae": set(),
    "experiments": {"data", "vae"},
    "reports": set(),
    "benchmarks": {"data", "vae", "experiments"},
}


def modules():
    """Every module of the project by dotted name."""
    found = {}
    for package in ALLOWED:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports_of(path):
    """The project's own modules that a file imports, wherever in the file it does so."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        else:
            continue
        found.update(name for name in names if name in MODULES)
    return found


IMPORTS = {name: imports_of(path) for name, path in MODULES.items()}


def test_the_packages_are_there():
    assert {name.split(".")[0] for name in MODULES} == set(ALLOWED)


@pytest.mark.parametrize("name", MODULES)
def test_nothing_imports_upward(name):
    package = name.split(".")[0]
    others = {imported.split(".")[0] for imported in IMPORTS[name]} - {package}
    assert others <= ALLOWED[package]


def test_no_two_files_import_each_other():
    """No cycle of any length, by removing what imports nothing that is left."""
    left = {name: set(imported) - {name} for name, imported in IMPORTS.items()}
    while removable := [name for name, imported in left.items() if not imported & left.keys()]:
        for name in removable:
            del left[name]
    assert not left, f"these import each other: {sorted(left)}"


def test_the_model_knows_no_orchestration():
    foreign = {"ray", "mlflow", "dvc", "pandas", "optuna", "yaml", "pathlib", "pydantic"}
    for name, path in MODULES.items():
        if name.split(".")[0] != "vae":
            continue
        known = {"pathlib"} if name == "vae.__main__" else set()  # the command has to open files
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                roots = {(node.module or "").split(".")[0]} if isinstance(node, ast.ImportFrom) else set()
                roots |= {a.name.split(".")[0] for a in node.names} if isinstance(node, ast.Import) else set()
                assert not roots & foreign - known, f"{name} imports {roots & foreign}"
