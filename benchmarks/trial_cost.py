"""Measures where a trial's time goes: shares of training, validation, test, bound, pictures and files.

    python -m benchmarks trial_cost                               # four trials, one or two minutes
    python -m benchmarks trial_cost --systems bsvm --proportion 1

Runs a trial of each system in this process, on one thread, with the settings of params.yaml and the dataset that it
names, which must have been split (`python -m experiments data split`). Results go to a temporary folder. The times are
those that the processor spent on this process, so that other processes disturb them little. What a sweep adds to its
trials, `python -m benchmarks sweep_overhead` measures.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from functools import wraps
from pathlib import Path
from typing import Any
from unittest.mock import patch

from experiments.learning.contract import Learner
from experiments.learning.device import set_up
from experiments.settings.config import load
from experiments.trial_store.folders import TrialFolder
from experiments.trial_store.layout import Layout
from experiments.trials import run, training
from experiments.trials.foreground import by_cell
from experiments.trials.label_evaluation import LabelJudge

ROOT = Path(__file__).parents[1]
SYSTEMS = ("bsvm", "softmax", "alexnet", "googlenet")
OTHER = "other"
PARTS: dict[str, tuple[tuple[Any, str], ...]] = {
    "training": ((training, "epoch_means"),),
    "validation": ((LabelJudge, "validated"),),
    "test": ((LabelJudge, "tested"),),
    "data and model": ((run, "prepare"),),
    "pictures": ((training.Training, "_draw"),),
    "files": tuple((TrialFolder, name) for name in ("save_checkpoint", "save_weights", "add_row", "finish")),
}
LEARNER_PARTS = {"averages": "average", "bound": "bound"}  # methods, which validation and test call


class Clock:
    """Seconds of this process by part; a part that is within another one counts for itself alone."""

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self._parts, self._since = [OTHER], time.process_time()

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Returns the function, with its time counted for the part."""

        @wraps(function)
        def wrapped(*arguments: Any, **named: Any) -> Any:
            self._turn()
            self._parts.append(part)
            try:
                return function(*arguments, **named)
            finally:
                self._turn()
                self._parts.pop()

        return wrapped

    def _turn(self) -> None:
        now = time.process_time()
        self.seconds[self._parts[-1]] += now - self._since
        self._since = now


def cost(system: str, proportion: float) -> Counter[str]:
    """Returns the seconds of a trial of the first repetition by part."""
    config, clock = load(ROOT / "params.yaml"), Clock()
    with tempfile.TemporaryDirectory() as store, ExitStack() as patched:
        layout = Layout.at(str(ROOT / "data"), store)
        for part, places in PARTS.items():
            for owner, name in places:
                patched.enter_context(patch.object(owner, name, clock.timed(part, getattr(owner, name))))
        for part, name in LEARNER_PARTS.items():
            for kind in _overriding(Learner, name):
                patched.enter_context(patch.object(kind, name, clock.timed(part, getattr(kind, name))))
        trial = by_cell(config, layout, system, proportion, None, 0)
        folder = layout.trial_store.folder(trial.identity)
        clock.timed(OTHER, run.run_trial)(trial, layout, folder, set_up(1, False), lambda row: None)
    return clock.seconds


def _overriding(kind: type, method: str) -> list[type]:
    """Returns the classes below `kind` that define the method."""
    below = kind.__subclasses__()
    return [each for each in below if method in vars(each)] + [
        found for each in below for found in _overriding(each, method)
    ]


def main() -> None:
    """Prints a row for each system: seconds, and the share of each part in percent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), help="systems to run a trial of")
    parser.add_argument("--proportion", type=float, default=0.1, help="labelled proportion")
    asked = parser.parse_args()
    parts = [*PARTS, *LEARNER_PARTS, OTHER]
    print("system".ljust(10), "seconds".rjust(8), *(part.rjust(len(part) + 2) for part in parts))
    for system in asked.systems:
        seconds = cost(system, asked.proportion)
        whole = seconds.total()
        shares = (f"{100 * seconds[part] / whole:{len(part)}.1f} %" for part in parts)
        print(system.ljust(10), f"{whole:8.1f}", *shares, flush=True)


if __name__ == "__main__":
    main()
