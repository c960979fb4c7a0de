"""The type check of `make lint` sees a mistake across packages."""

import subprocess
import sys

import pytest

from tests.test_house import ROOT

pytestmark = pytest.mark.slow


CODE = """
from data.errors import UserError
from experiments.trials.grid import percent


def shown(proportion: {kind}) -> str:
    if not proportion:
        raise UserError("none")
    return percent(proportion)
"""


def test_a_planted_mistake_is_found_and_right_types_pass(tmp_path):
    for name, kind in (("wrong", "str"), ("right", "float")):
        (tmp_path / f"{name}.py").write_text(CODE.format(kind=kind), encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml", "--cache-dir", tmp_path / "cache"]
    done = subprocess.run([*command, *tmp_path.glob("*.py")], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (mistake,) = (line for line in done.stdout.splitlines() if ": error:" in line)
    assert "wrong.py" in mistake
    assert 'incompatible type "str"; expected "float"' in mistake
