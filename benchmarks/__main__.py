"""Runs a benchmark by its name: `python -m benchmarks NAME`."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import sys
from pathlib import Path

import benchmarks

FOLDER = Path(benchmarks.__path__[0])


def described() -> dict[str, str]:
    """Returns the benchmarks by name, each with the first line of its docstring. None of them is imported."""
    found = {}
    for module in pkgutil.iter_modules([str(FOLDER)]):
        path = FOLDER / module.name / "__main__.py" if module.ispkg else FOLDER / f"{module.name}.py"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        has_main = any(isinstance(each, ast.FunctionDef) and each.name == "main" for each in tree.body)
        if has_main and module.name != "__main__":
            found[module.name] = (ast.get_docstring(tree) or "").partition("\n")[0]
    return found


def main(arguments: list[str]) -> None:
    """Runs the benchmark that the first argument names, with the others; lists them all where it names none."""
    known = described()
    if not arguments or arguments[0] not in known:
        width = max(map(len, known))
        print("usage: python -m benchmarks NAME [--help]\n")
        print("\n".join(f"  {name:{width}}  {what}" for name, what in known.items()))
        raise SystemExit(0 if arguments in ([], ["--help"], ["-h"]) else 2)
    name, *rest = arguments
    sys.argv = [f"python -m benchmarks {name}", *rest]
    package = (FOLDER / name).is_dir()
    importlib.import_module(f"benchmarks.{name}.__main__" if package else f"benchmarks.{name}").main()


if __name__ == "__main__":
    main(sys.argv[1:])
