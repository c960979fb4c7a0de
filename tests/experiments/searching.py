"""What tests of searches share: settings that ask for one, and the evidence that it leaves."""

import csv
import json


def ask_for(world, spaces=None, trials=5, proportions=(0.1, 0.5), **changes):
    """Writes a params.yaml that searches the toy, whose shipped learning rate learns next to nothing."""
    further = {name: changes.pop(name) for name in ("objectives", "warm_start", "storage") if name in changes}
    world.params(
        toys={"epochs": 2, "learning_rate": 1e-6, **changes.pop("toys", {})},
        search={
            "trials": trials,
            "proportions": list(proportions),
            "repetitions": [1, 2],
            "spaces": spaces or {"toy": {"learning_rate": {"choices": [1e-6, 1e-5, 0.05]}}},
            **further,
        },
        **changes,
    )


def read_evidence(world, system="toy"):
    """The rows of the CSV file and the facts of the JSON file that a search has left."""
    folder = world.folder / "experiments/evidence/search/mnist-5k"
    with (folder / f"{system}.csv").open(newline="") as stream:
        return list(csv.DictReader(stream)), json.loads((folder / f"{system}.json").read_text())
