"""Made-up accuracies of systems, paired by repetition."""

from __future__ import annotations

import pandas as pd

NOISE = (0.3, -0.2, 0.1, -0.3, 0.1, 0.2, -0.1, 0.05)


def results(means: dict[str, dict[float, float]], repetitions: int, xi: dict[str, float] | None = None) -> pd.DataFrame:
    """Returns results with top-1 around these means.

    All systems share the noise of a repetition, and each has a little of its own.
    """
    rows = []
    for number, (system, by_proportion) in enumerate(means.items()):
        for proportion, mean in by_proportion.items():
            for seed in range(repetitions):
                own = 0.1 * NOISE[(3 * seed + number) % len(NOISE)]
                usual = "auto" if system in ("bsvm", "softmax") else ""
                rows.append((system, proportion, usual, seed, mean + 5 * NOISE[seed % len(NOISE)] + own))
    for value, mean in (xi or {}).items():
        rows += [("bsvm", 0.1, value, seed, mean + 5 * NOISE[seed % len(NOISE)]) for seed in range(repetitions)]
    table = pd.DataFrame(rows, columns=["system", "proportion", "xi", "seed", "top1"])
    return table.assign(status="done", trial_id=[f"t{index}" for index in range(len(table))], dataset="made-up")


GOOD = {
    "alexnet": {0.01: 70, 0.1: 85, 1.0: 97},
    "googlenet": {0.01: 68, 0.1: 86, 1.0: 97.5},
    "bsvm": {0.01: 78, 0.1: 90, 1.0: 97.8},
    "softmax": {0.01: 76, 0.1: 88, 1.0: 97.0},
    "encoder": {0.01: 74, 0.1: 87, 1.0: 97.6},
    "ablation": {0.01: 73, 0.1: 87, 1.0: 97.6},
}
