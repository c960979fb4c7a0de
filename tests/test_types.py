"""The type check of `make lint` sees a mistake across packages."""

import subprocess
import sys

import pytest

from tests.test_house import ROOT

pytestmark = pytest.mark.slow


def mypy(folder, code):
    """What mypy, with this project's settings, says of a file with some code."""
    path = folder / "planted.py"
    path.write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", "--cache-dir", str(folder), str(path)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


CODE = """
from data.errors import UserError
from experiments.trials.grid import percent


def shown(proportion: {kind}) -> str:
    if not proportion:
        raise UserError("none")
    return percent(proportion)
"""


def test_a_planted_mistake_is_found(tmp_path):
    done = mypy(tmp_path, CODE.format(kind="str"))
    assert done.returncode == 1
    assert 'incompatible type "str"; expected "float"' in done.stdout


def test_right_types_pass(tmp_path):
    done = mypy(tmp_path, CODE.format(kind="float"))
    assert done.returncode == 0, done.stdout
