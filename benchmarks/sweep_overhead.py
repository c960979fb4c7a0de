"""Measures what dispatching costs: the wall time of a sweep of short trials over the trials' own time per worker.

    python -m benchmarks sweep_overhead [--trials 200] [--workers 2]

The trials are those of the tests' toy system, each kept busy for a second. The wall time includes everything: the start
of Python, Ray and MLflow, every report of an epoch, and the tables at the end. Prints one line for each number.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TOYS = ROOT / "tests/experiments/toy"
PARAMS = """
dataset: mnist-5k
profile: default
profiles: {{default: {{systems: [toy], proportions: [0.1], xi: [auto], repetitions: {trials}}}}}
compute: {{workers: {workers}}}
toys: {{epochs: 4, busy: 0.25}}
systems: {{}}
"""


def main() -> None:
    """Runs the sweep and prints its times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=200, help="number of trials")
    parser.add_argument("--workers", type=int, default=2, help="trials at a time")
    asked = parser.parse_args()
    path = os.pathsep.join([str(ROOT), str(TOYS)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "params.yaml").write_text(PARAMS.format(trials=asked.trials, workers=asked.workers))
        subprocess.run(
            [sys.executable, TOYS / "toy_data.py", str(asked.trials)], cwd=folder, env=environment, check=True
        )
        started = time.perf_counter()
        subprocess.run([sys.executable, TOYS / "toy_main.py", "run"], cwd=folder, env=environment, check=True)
        wall = time.perf_counter() - started
        facts = json.loads((folder / "experiments/gallery/sweep.json").read_text())
        times = [json.loads(path.read_text())["finished_at"] for path in folder.glob("experiments/store/*/result.json")]
    ideal = facts["trial_seconds"] / facts["workers"]
    span = max(times) - min(times)
    steady = span / ((asked.trials - asked.workers) / asked.trials * ideal)
    print(f"trials            {asked.trials} on {facts['workers']} workers, {facts['trials']['done']} done")
    print(f"wall              {wall:8.2f} s")
    print(f"trials / workers  {ideal:8.2f} s")
    print(f"ratio             {wall / ideal:8.3f}  whole, with the start and the end")
    print(f"ratio             {steady:8.3f}  between the first and the last trial's end")


if __name__ == "__main__":
    main()
