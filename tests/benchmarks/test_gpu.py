"""The whole GPU benchmark, small and on the CPU, where nothing but PyTorch, NumPy and pydantic can be imported."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.gpu.agreement import CPU, cases
from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.rates import traffic
from experiments.learning.contract import SYSTEMS
from vae.architecture import architecture_named
from vae.estimators.contract import estimator_names

ROOT = Path(__file__).parents[2]
# Python reads a module of this name before all else, in every process of the command. It hides what is installed,
# except for the three packages and what they themselves require.
HIDING = """
import sys
from importlib.machinery import PathFinder

KNOWN = set(
    "data vae experiments benchmarks torch torchgen functorch numpy pydantic pydantic_core annotated_types "
    "typing_extensions typing_inspection filelock sympy mpmath networkx jinja2 markupsafe fsspec setuptools".split()
)


class Hiding(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        top = name.partition(".")[0]
        known = top in KNOWN | sys.stdlib_module_names or top.startswith("_sysconfigdata")
        return super().find_spec(name, path, target) if known else None


sys.meta_path = [Hiding if each is PathFinder else each for each in sys.meta_path]
"""


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """Runs Python where the three packages are alone; returns the folder that it ran in, and what it printed."""
    folder = tmp_path_factory.mktemp("gpu")
    (folder / "hiding").mkdir()
    (folder / "hiding" / "sitecustomize.py").write_text(HIDING)
    paths = os.pathsep.join([str(folder / "hiding"), str(ROOT)])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}

    def run(*arguments):
        command = [sys.executable, *arguments]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return folder, done.stdout

    return run


@pytest.fixture(scope="module")
def small(alone):
    """The command's folder of results."""
    folder, said = alone("-m", "benchmarks", "gpu", "--device", "cpu", "--minutes", "60", "--out", "results")
    assert "0 cases failed or do not hold" in said
    return folder / "results"


@pytest.fixture(scope="module")
def rows(small):
    """The rows of each part by case, as the JSON file has them."""
    content = json.loads((small / "gpu.json").read_text())
    return {part["part"]: {row["case"]: row for row in part["rows"]} for part in content["parts"]}


@pytest.mark.slow
class TestTheWholeCommand:
    def test_every_part_measures_all_that_a_cpu_can(self, rows):
        assert list(rows) == [part.name for part in PARTS]
        reasons = {row["reason"] for part in rows.values() for row in part.values()}
        assert reasons == {None, "a graph needs CUDA"}

    def test_the_page_has_a_table_of_each_part(self, small):
        page = (small / "gpu.md").read_text()
        assert [line[3:] for line in page.splitlines() if line.startswith("## ")] == [part.title for part in PARTS]

    def test_rounding_to_bfloat16_is_seen_and_single_precision_is_nearer(self, rows):
        errors = {case: row["values"]["CPU's own error"] for case, row in rows["agreement"].items()}
        for system in SYSTEMS.names():
            assert 0 < errors[f"{system}, float32"] < 0.1 * errors[f"{system}, bfloat16"]

    def test_shares_are_shares(self, rows):
        steps = [row["values"] for row in rows["rates"].values() if "MFU" in row["values"]]
        assert steps
        assert all(0 < each["MFU"] < 1 and 0 < each["share of the copy's rate"] < 1 for each in steps)

    def test_one_process_trains_as_fast_as_itself(self, rows):
        assert 0.2 < rows["sharing"]["1 process"]["values"]["over one alone"] < 5


def test_every_part_and_system_imports_nothing_else(alone):
    modules = [part.module for part in PARTS]
    asked = "from importlib import import_module; from experiments.learning.contract import SYSTEMS; "
    _, said = alone("-c", f"{asked} print(len([import_module(name) for name in {modules}]), len(SYSTEMS.names()))")
    assert said.split() == [str(len(PARTS)), str(len(SYSTEMS.names()))]


def test_every_system_estimator_and_reading_is_compared():
    names = {case.name for case in cases(CPU)}
    for system in SYSTEMS.names():
        assert f"{system}, float32" in names
    for estimator in estimator_names():
        assert f"bsvm, {estimator}, factorised, bfloat16" in names
    assert "bsvm, nvil, shared, float32" in names
    assert len(set(names)) == len(list(cases(CPU)))


def test_the_least_traffic_is_that_of_the_maps():
    # MNIST: 28² pixels, 30 maps of 21², 80 of 2²; each written and read as value and gradient, by two networks.
    assert traffic(architecture_named("mnist")) == 4 * 8 * (28**2 + 30 * 21**2 + 80 * 2**2)
