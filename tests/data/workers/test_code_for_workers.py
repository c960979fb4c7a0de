"""The code that goes to other machines."""

import subprocess
import sys
from pathlib import Path

from data.workers.code_for_workers import code_folder
from experiments.cluster.nodes import PACKAGES
from tests.test_house import IMPORTS, MODULES, ROOT


def files(folder):
    return {path.relative_to(folder) for path in folder.rglob("*") if path.is_file()}


def test_all_modules_go_and_nothing_else():
    with code_folder(*PACKAGES) as folder:
        expected = {path.relative_to(ROOT) for name, path in MODULES.items() if name.split(".")[0] in PACKAGES}
        assert files(folder) == expected
    assert not folder.exists()


def test_what_lies_beside_the_code_stays_here(tmp_path, monkeypatch):
    monkeypatch.setattr("data.workers.code_for_workers.ROOT", tmp_path)
    made = "__init__.py deep/__init__.py deep/a.py raw/x.py raw/theirs/__init__.py b.npy .env .env.py deep/.netrc"
    for name in (*(f"data/{name}" for name in made.split()), ".git/config", ".dvc/config.local", "params.yaml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "data" / ".#deep.py").symlink_to("someone@machine.1234")  # an editor's lock leads nowhere
    (tmp_path / "data" / "elsewhere").symlink_to(tmp_path / "data" / "deep")
    with code_folder("data") as folder:
        assert files(folder) == {Path("data/__init__.py"), Path("data/deep/__init__.py"), Path("data/deep/a.py")}


def test_the_packages_are_all_that_a_worker_imports():
    imported = {other.split(".")[0] for name in IMPORTS if name.split(".")[0] in PACKAGES for other in IMPORTS[name]}
    assert imported == set(PACKAGES)


def test_the_code_runs_where_it_was_sent():
    with code_folder(*PACKAGES) as folder:
        done = subprocess.run(
            [sys.executable, "-m", "experiments", "--help"], cwd=folder, capture_output=True, text=True, check=True
        )
    assert "sweep" in done.stdout
