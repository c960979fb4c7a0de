"""A folder with the project's real dvc.yaml, params.yaml and Makefile, in which commands only write files.

DVC and make see all that they see in a checkout, and a run takes no training.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
EXPERIMENTS = '''
"""Stands in for `python -m experiments`: trials fail where there is a file `cause`."""

import shutil
import sys
from pathlib import Path

HERE = Path("experiments")
command, *options = sys.argv[1:]
with Path("calls").open("a") as calls:
    calls.write(" ".join(["experiments", *sys.argv[1:]]) + "\\n")
if command == "data":
    folder = Path("data") / {"download": "raw", "prepare": "processed", "split": "splits"}[options[0]] / "mnist-5k"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "file").write_text(options[0])
if command == "run":
    status = "failed" if Path("cause").exists() else "done"
    for name in ("results.csv", "averaging.csv", "subsets.csv", "predictions.csv.gz"):
        (HERE / name).unlink(missing_ok=True)  # a new file, as the sweep writes it: DVC links the old one
        (HERE / name).write_text(f"status\\n{status}\\n")
    shutil.rmtree(HERE / "gallery", ignore_errors=True)
    (HERE / "gallery").mkdir()
    (HERE / "gallery/sweep.json").write_text("{}")
    sys.exit(1 if status == "failed" and "--complete" in options else 0)
'''
REPORTS = '''
"""Stands in for `python -m reports`: its page is the table of results."""

import sys
from pathlib import Path

with Path("calls").open("a") as calls:
    calls.write(" ".join(["reports", *sys.argv[1:]]) + "\\n")
out = Path(sys.argv[2]) if sys.argv[1:] else Path("reports")
for name in ("tables/a", "figures/a", "plots/a", "index.html", "answer.html", "answer.md", "metrics.json"):
    (out / name).parent.mkdir(parents=True, exist_ok=True)
    (out / name).unlink(missing_ok=True)
    (out / name).write_text(Path("experiments/results.csv").read_text())
'''


class StandIn:
    """The folder, and the commands that are run in it.

    Attributes:
        folder: where it is.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("dvc.yaml", "params.yaml", "Makefile", ".dvc/config", ".dvcignore"):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, folder / name)
        stages = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"].values()
        made = {name if isinstance(name, str) else next(iter(name)) for stage in stages for name in stage["outs"]}
        for name in {name for stage in stages for name in stage["deps"]} - made:
            path = folder / name
            (path if path.suffix else path / "file").parent.mkdir(parents=True, exist_ok=True)
            (path if path.suffix else path / "file").write_text("# stands in\n")
        (folder / "experiments/__main__.py").write_text(EXPERIMENTS)
        (folder / "reports/__main__.py").write_text(REPORTS)
        subprocess.run(["git", "init", "-q"], cwd=folder, check=True)

    def run(self, *command: str, code: int = 0) -> str:
        """Runs a command to its end and returns its output and error output."""
        binaries = Path(sys.executable).parent
        environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": "."}
        for name in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS"):
            environment.pop(name, None)
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def make(self, *words: str, code: int = 0) -> str:
        """Runs a command of the Makefile with this Python."""
        return self.run("make", "-o", "setup", *words, f"BIN={Path(sys.executable).parent}", code=code)

    def calls(self) -> list[str]:
        """Returns the project's commands that were run since the last call of this method."""
        path = self.folder / "calls"
        found = path.read_text().splitlines() if path.exists() else []
        path.unlink(missing_ok=True)
        return found

    def text(self, name: str) -> str:
        """Returns the content of a file."""
        return (self.folder / name).read_text()
