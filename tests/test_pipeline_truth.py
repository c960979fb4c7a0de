"""Whether dvc.yaml names all code that its stages depend on.

The code is read, not run: the function of the command, what it imports, what that imports in turn (lazily too), and all
plug-ins of a folder whose name a module holds. A stage of data reads params.yaml with the code that checks every
system's settings; that code is left out for those stages, which name the settings that they use under `params`.
"""

import ast

import pytest
from ruamel.yaml import YAML

from tests.test_house import MODULES, PLUGINS, ROOT, imports_of

STAGES = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
SETTINGS = "experiments.settings."


def plugins_named(text):
    """All modules of the folders of plug-ins that some code names in a string."""
    named = {node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)} & PLUGINS
    return {name for name in MODULES if any(name.startswith(f"{folder}.") for folder in named)}


def tree_of(module):
    return ast.parse(MODULES[module].read_text(encoding="utf-8"))


def without_types(tree):
    """The code without what is there for the type checker alone."""
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            node.body = [ast.Pass()]
    return tree


def reached_from(modules, *names):
    """What some functions import, the functions and methods of those modules that they use, and the modules' heads."""
    nodes = [node for module in modules for node in without_types(tree_of(module)).body]
    classes = [node for node in nodes if isinstance(node, ast.ClassDef)]
    functions = {node.name: node for node in nodes if isinstance(node, ast.FunctionDef)}
    methods = {node.name: node for each in classes for node in each.body if isinstance(node, ast.FunctionDef)}
    head = [node for node in nodes if not isinstance(node, ast.FunctionDef | ast.ClassDef)]
    found, seen = imports_of(ast.unparse(ast.Module(head, [])), MODULES), set()
    wanted = [functions[name] for name in names]
    while wanted:
        function = wanted.pop()
        if function not in seen:
            seen.add(function)
            found |= imports_of(ast.unparse(function), MODULES)
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in functions:
                    wanted.append(functions[node.func.id])
                if isinstance(node, ast.Attribute) and node.attr in methods:
                    wanted.append(methods[node.attr])
    return found - set(modules)


REAL_IMPORTS = {name: imports_of(ast.unparse(without_types(tree_of(name))), MODULES) for name in MODULES}


def closure(start, imports=REAL_IMPORTS, cut=None):
    """Those modules and all that they reach, but for what starts with `cut`."""
    found, left = set(), set(start)
    while left:
        name = left.pop()
        if name in found or (cut and name.startswith(cut)):
            continue
        found.add(name)
        left |= imports[name] | plugins_named(MODULES[name].read_text(encoding="utf-8"))
        left |= {parent for parent in (name.rpartition(".")[0],) if parent in MODULES}
    return found


def files_of(command):
    """The project's files that a stage's command reaches, relative to the root."""
    package, *words = command.removeprefix("python -m ").split()
    start, cut = [f"{package}.__main__"], None
    if package == "experiments":
        start.append("experiments.options")
        first = reached_from(start, words[0])
        if words[0] == "data":  # one command for three stages
            first = first - {"data.stages"} | reached_from(["data.stages"], words[1])
            start.append("data.stages")
            cut = SETTINGS
    else:
        first = REAL_IMPORTS[f"{package}.__main__"]
    reached = closure(first, cut=cut) | set(start)
    return {str(MODULES[name].relative_to(ROOT)) for name in reached}


def lacking(files, deps):
    """Files that no dependency covers, by itself or by a folder that it lies in."""
    return sorted(file for file in files if not any(file == dep or file.startswith(f"{dep}/") for dep in deps))


def is_code(dep):
    return dep.endswith(".py") or list((ROOT / dep).rglob("*.py"))


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_code_that_it_reaches(stage):
    assert not lacking(files_of(STAGES[stage]["cmd"]), STAGES[stage]["deps"])


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_no_code_that_it_does_not_reach(stage):
    reached = files_of(STAGES[stage]["cmd"])
    for dep in filter(is_code, (dep for dep in STAGES[stage]["deps"] if "$" not in dep)):
        assert any(file == dep or file.startswith(f"{dep}/") for file in reached), dep


@pytest.mark.parametrize("stage", STAGES)
def test_every_dependency_is_there_or_made_by_a_stage(stage):
    made = {next(iter(out)) if isinstance(out, dict) else out for each in STAGES.values() for out in each["outs"]}
    for dep in STAGES[stage]["deps"]:
        assert dep in made or (ROOT / dep).exists(), dep


def test_a_dependency_that_is_left_out_is_noticed():
    files = files_of(STAGES["sweep"]["cmd"])
    assert lacking(files, [dep for dep in STAGES["sweep"]["deps"] if dep != "experiments/sweep"])
    grown = {
        **REAL_IMPORTS,
        "experiments.sweep.results": REAL_IMPORTS["experiments.sweep.results"] | {"benchmarks.record"},
    }
    assert "benchmarks.record" in closure({"experiments.sweep.results"}, grown)
