"""The code that goes to other machines."""

import subprocess
import sys
from pathlib import Path

import pytest

from data.workers.code_for_workers import code_folder
from experiments.cluster.nodes import PACKAGES
from tests.test_house import IMPORTS, MODULES, ROOT
from vae.kernels.compiled import library


def files(folder):
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def test_all_modules_go_and_nothing_else():
    with code_folder(*PACKAGES) as folder:
        expected = {path.relative_to(ROOT) for name, path in MODULES.items() if name.split(".")[0] in PACKAGES}
        kernels = {path.relative_to(ROOT) for path in (ROOT / "vae/kernels").glob("*.[ch]")}
        assert kernels
        assert files(folder) == expected | kernels
    assert not folder.exists()


def test_what_lies_beside_the_code_stays_here(tmp_path, monkeypatch):
    monkeypatch.setattr("data.workers.code_for_workers.ROOT", tmp_path)
    made = "__init__.py deep/__init__.py deep/a.py deep/kernel.c deep/kernel.o raw/x.py raw/theirs/__init__.py b.npy"
    made += " .env .env.py deep/.netrc"
    for name in (*(f"data/{name}" for name in made.split()), ".git/config", ".dvc/config.local", "params.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "data" / ".#deep.py").symlink_to("someone@machine.1234")  # an editor's lock leads nowhere
    (tmp_path / "data" / "elsewhere").symlink_to(tmp_path / "data" / "deep")
    with code_folder("data") as folder:
        code = ("__init__.py", "deep/__init__.py", "deep/a.py", "deep/kernel.c")
        assert files(folder) == {Path("data", name) for name in code}


def test_the_packages_are_all_that_a_worker_imports():
    imported = {other.split(".")[0] for name in IMPORTS if name.split(".")[0] in PACKAGES for other in IMPORTS[name]}
    assert imported == set(PACKAGES)


def test_the_code_runs_where_it_was_sent():
    with code_folder(*PACKAGES) as folder:
        done = subprocess.run(
            [sys.executable, "-m", "experiments", "--help"], cwd=folder, capture_output=True, text=True, check=True
        )
    assert "sweep" in done.stdout


@pytest.mark.skipif(library() is None, reason="there is no C compiler here")
def test_the_kernels_are_compiled_where_they_were_sent():
    command = "from vae.kernels.compiled import SOURCE, library; print(SOURCE, library() is not None)"
    with code_folder(*PACKAGES) as folder:
        done = subprocess.run([sys.executable, "-c", command], cwd=folder, capture_output=True, text=True, check=True)
        assert done.stdout.split() == [str(folder / "vae/kernels/switches.c"), "True"]
