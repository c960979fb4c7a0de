"""Measures how `status` and the report slow down as trials accumulate: stores of 1,000 and of 10,000 done trials.

    python -m benchmarks record [--trials 1000 10000]

The trials are those of the tests' toy system. They are not run; their folders are written as a sweep leaves them. The
commands are timed as a user meets them, with the start of Python. Prints seconds, and the ratio of each time to that of
the smallest store, beside the ratio of the numbers of trials.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
TOYS = ROOT / "tests/experiments/toy"
PROPORTIONS = tuple(step / 50 for step in range(1, 51))  # a report shows 200 repetitions at most
PARAMS = """
dataset: mnist-5k
profile: default
profiles: {{default: {{systems: [toy], proportions: {proportions}, xi: [auto], repetitions: {repetitions}}}}}
toys: {{epochs: 4}}
systems: {{}}
"""


def fill() -> None:
    """Writes what a sweep of this folder's params.yaml would leave: the trial store, results.csv and the gallery."""
    sys.path.insert(0, str(TOYS))
    import toy_systems  # noqa: F401  (registers the toy)

    from experiments.compute.resources import of_this_machine
    from experiments.files import write_csv
    from experiments.settings.config import load
    from experiments.sweep.results import AVERAGING, COLUMNS, row, sweep_facts, write_gallery
    from experiments.trial_store.folders import TrialStore
    from experiments.trial_store.layout import Layout
    from experiments.trials.grid import trials

    config, layout, chance = load(Path("params.yaml")), Layout(), np.random.default_rng(0)
    wanted, store = trials(config, layout), TrialStore(layout.store)
    for trial in wanted:
        folder = store.folder(trial.identity)
        folder.path.mkdir(parents=True)
        folder.begin(trial.config)
        for epoch in range(4):
            folder.add_row({"epoch": epoch, "loss": 1.0, "time": time.time()})
        top1 = min(99.0, float(90 + 5 * trial.proportion + chance.normal()))
        scores = {"top1": top1, "top5": 99.0, "epochs": 4, "seconds": 1.0, "train_seconds": 1.0}
        rates = {"images_per_second": 1e3, "test_ms_per_image": 0.1, "device": "cpu", "git_sha": "0", "averaging": []}
        folder.finish({"identity": trial.identity, **scores, **rates, "ece": 1.0})
    write_csv(layout.results, COLUMNS, [row(trial, store, {}) for trial in wanted])
    write_csv(layout.averaging, AVERAGING, [])
    facts = sweep_facts(config, "benchmark", of_this_machine(config.params.compute), 1.0, wanted, store)
    counts = {"done": len(wanted), "failed": 0, "missing": 0, "reused": 0}
    write_gallery(layout.gallery, wanted, store, facts | {"trials": counts})


def measure(count: int) -> dict[str, float]:
    """Returns the seconds of each command on a store of `count` trials."""
    path = os.pathsep.join([str(ROOT), str(TOYS)])
    environment = {**os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    repetitions = count // len(PROPORTIONS)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "params.yaml").write_text(PARAMS.format(proportions=list(PROPORTIONS), repetitions=repetitions))

        def seconds(*command: object) -> float:
            started = time.perf_counter()
            subprocess.run(
                [sys.executable, *map(str, command)], cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL
            )
            return time.perf_counter() - started

        seconds(TOYS / "toy_data.py", repetitions)
        seconds(__file__, "--fill")
        return {"status": seconds(TOYS / "toy_main.py", "status"), "report": seconds("-m", "reports")}


def main() -> None:
    """Measures the stores, the smallest first."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, nargs="+", default=[1_000, 10_000], help="sizes of the stores")
    parser.add_argument("--fill", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.fill:
        fill()
        return
    least = min(asked.trials)
    base: dict[str, float] = {}
    for count in sorted(asked.trials):
        for command, taken in measure(count).items():
            first = base.setdefault(command, taken)
            print(
                f"{command:8} {count:8,} trials {taken:8.2f} s   {taken / first:6.2f} times for {count / least:g} times"
            )


if __name__ == "__main__":
    main()
