"""What trials will cost, in seconds of one worker, before they are run."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from contextlib import closing

import torch

from experiments.evaluation import batches, evaluate, now
from experiments.grid import Layout, Trial
from experiments.systems import contract
from experiments.trial import prepare
from experiments.trials import TrialStore


class Costs:
    """Expected seconds of trials, one number for each system and proportion.

    Where the store has done trials of the same system and proportion, it is their median; elsewhere a learner
    takes a few real steps and one look at validation images, and both are multiplied by how often its
    epochs ask for them. That is an upper bound where patience ends training early.
    """

    def __init__(self, trials: Iterable[Trial], store: TrialStore, layout: Layout, device: torch.device) -> None:
        self.layout, self.device = layout, device
        seconds: dict[tuple[str, float], list[float]] = {}
        for trial in trials:
            result = store.folder(trial.identity).result()
            if result is not None:
                seconds.setdefault((trial.system, trial.proportion), []).append(result["seconds"])
        self.measured = {key: statistics.median(values) for key, values in seconds.items()}
        self.probed: dict[tuple[str, float], float] = {}

    def is_measured(self, trial: Trial) -> bool:
        """Whether done trials say what this one costs."""
        return (trial.system, trial.proportion) in self.measured

    def seconds(self, trial: Trial, budget: float) -> float:
        """What the trial will take; spends about `budget` seconds where its like was neither run nor probed yet."""
        key = trial.system, trial.proportion
        if key in self.measured:
            return self.measured[key]
        if key not in self.probed:
            self.probed[key] = self._probe(trial, budget)
        return self.probed[key]

    def _probe(self, trial: Trial, budget: float) -> float:
        task, learner = prepare(trial, contract.get(trial.system), self.layout, self.device)
        seconds: list[float] = []  # of each step; the first one allocates, so it counts only where it is alone
        with closing(learner.epoch(0)) as steps:
            while sum(seconds[1:]) < budget:
                started = now(self.device)
                if next(steps, None) is None:
                    break
                seconds.append(now(self.device) - started)
        chosen = next(batches(task.store, task.validation))
        started = now(self.device)
        evaluate(learner, task.store, chosen, self.device)
        per_look = (now(self.device) - started) * len(task.validation) / len(chosen)
        return learner.epochs * (statistics.mean(seconds[1:] or seconds) * learner.steps_per_epoch + per_look)
