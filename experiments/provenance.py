"""The provenance of a result: the code's revision, the versions of packages, and the machine."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("torch", "numpy", "ray", "mlflow", "pandas", "dvc", "pydantic")

REVISION = "EXPERIMENTS_REVISION"  # environment variable with the revision of code that is sent to another machine


@cache
def _git(*arguments: str) -> tuple[str | None, str]:
    """Returns what a git command prints, None where it fails, and why it failed, in one line."""
    try:
        asked = subprocess.run(
            ["git", *arguments],
            cwd=Path(__file__).parent,
            env={**os.environ, "LC_ALL": "C"},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=20,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return None, str(error)
    if asked.returncode:
        return None, (asked.stderr.strip().splitlines() or ["git failed"])[0]
    return asked.stdout.strip(), ""


def _commit() -> tuple[str | None, str]:
    return _git("rev-parse", "HEAD")


def _changes() -> tuple[str | None, str]:
    return _git("status", "--porcelain", "--untracked-files=no")


@cache
def revision() -> dict[str, Any]:
    """Returns `git_sha` of the code, and `git_dirty`: whether tracked files differ.

    Where git does not say, they are "unknown" and None, and `unknown_revision` says why. Where another machine has sent
    the code, both are that machine's.
    """
    if REVISION in os.environ:
        return json.loads(os.environ[REVISION])
    changes, _ = _changes()
    return {"git_sha": _commit()[0] or "unknown", "git_dirty": None if changes is None else bool(changes)}


def unknown_revision() -> str:
    """Returns why git does not say which code this is, and a remedy; empty where it does."""
    if REVISION in os.environ:
        return ""
    reason = _commit()[1] or _changes()[1]
    if not reason:
        return ""
    remedy = ""
    if "dubious ownership" in reason:
        remedy = f": `git config --global --add safe.directory {Path(__file__).parents[1]}` lets git read it"
    return f"the results will not say which revision of the code made them ({reason}{remedy})"


@cache
def versions() -> dict[str, str]:
    """Returns the versions of Python and of the packages that results depend on, as far as they are installed."""
    installed = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed


def cores() -> int:
    """Returns the number of CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine(gpus: list[str]) -> dict[str, Any]:
    """Returns the processor, cores, memory in GiB, the models of the GPUs and the platform."""
    return {
        "processor": _processor(),
        "cores": cores(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "gpus": gpus,
        "platform": f"{platform.system()} {platform.release()} {platform.machine()}",
    }


def _processor() -> str:
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()
