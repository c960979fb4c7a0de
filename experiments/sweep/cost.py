"""What trials will cost, in seconds of one worker and in memory of its GPU, before they are run."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Iterable
from contextlib import closing

import torch

from data.prepared.store import batches
from experiments.compute.gpu_memory import Held, Meter, beside_tensors
from experiments.learning import contract
from experiments.learning.contract import Learner, Task
from experiments.learning.device import now
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout
from experiments.trials.grid import Trial
from experiments.trials.run import prepare
from experiments.trials.training import judge_of


class Costs:
    """Expected seconds of trials, one number for each system and proportion.

    Where the store has done trials of the same system and proportion, it is their median; elsewhere a learner
    takes a few real steps and one look at validation images, and both are multiplied by how often its
    epochs ask for them. That is too much where patience ends training early.

    Args:
        budget: seconds that a learner's steps may take.
        each_proportion: whether steps are timed at each proportion, or, quicker, once for each system.
    """

    def __init__(
        self,
        trials: Iterable[Trial],
        store: TrialStore,
        layout: Layout,
        device: torch.device,
        *,
        budget: float,
        each_proportion: bool,
    ) -> None:
        self.layout, self.device = layout, device
        self.budget, self.each_proportion = budget, each_proportion
        seconds: dict[tuple[str, float], list[float]] = {}
        for trial in trials:
            result = store.folder(trial.identity).result()
            if result is not None:
                seconds.setdefault((trial.system, trial.proportion), []).append(result["seconds"])
        self.measured = {key: statistics.median(values) for key, values in seconds.items()}
        self._estimates: dict[tuple[str, float], float] = {}
        self._rates: dict[tuple[str, float | None], tuple[float, float]] = {}
        self._held: dict[str, Held] = {}
        self._meter = Meter(device)
        self._beside = beside_tensors(device) if device.type == "cuda" else 0

    def is_measured(self, trial: Trial) -> bool:
        """Whether done trials say what this one costs."""
        return (trial.system, trial.proportion) in self.measured

    def seconds(self, trial: Trial) -> float:
        """What the trial will take. Raises what making its learner or its first steps raise."""
        key = trial.system, trial.proportion
        if key in self.measured:
            return self.measured[key]
        if key not in self._estimates:
            self._estimates[key] = self._estimate(trial)
        return self._estimates[key]

    def held(self, trial: Trial) -> Held:
        """What its steps, a look at validation images and a checkpoint hold of the GPU, nothing on a CPU: measured,
        whatever the store knows. Raises what making its learner or its first steps raise."""
        if trial.system not in self._held:
            self._estimate(trial)
        return self._held[trial.system]

    @property
    def grown(self) -> int:
        """Bytes of the GPU that libraries took since the first step."""
        return beside_tensors(self.device) - self._beside if self.device.type == "cuda" else 0

    def _estimate(self, trial: Trial) -> float:
        self._meter.start()
        task, learner = prepare(trial, contract.SYSTEMS.get(trial.system), self.layout, self.device)
        key = trial.system, trial.proportion if self.each_proportion else None
        if key not in self._rates or trial.system not in self._held:
            self._rates[key] = self._time(task, learner)
            images = task.store.nbytes if isinstance(task.store.images, torch.Tensor) else 0
            seen = Held(images, self._meter.peak - images)
            self._held[trial.system] = max(seen, self._held.get(trial.system, seen), key=lambda held: held.trial)
        step, look = self._rates[key]
        return learner.epochs * (step * learner.steps_per_epoch + look)

    def _time(self, task: Task, learner: Learner) -> tuple[float, float]:
        """Seconds of a training step, and of a look at the validation part."""
        seconds: list[float] = []  # of each step; the first one allocates, so it counts only where it is alone
        with closing(learner.epoch(0)) as steps:
            while sum(seconds[1:]) < self.budget:
                started = now(self.device)
                if next(steps, None) is None:
                    break
                seconds.append(now(self.device) - started)
        look = self._time_look(task, learner)
        _kept = copy.deepcopy(learner.model.state_dict()), learner.state()  # what a trial keeps beside its learner
        return statistics.mean(seconds[1:] or seconds), look

    def _time_look(self, task: Task, learner: Learner) -> float:
        """Seconds of a look at the validation part, from two at some of it: the first may prepare what others reuse."""
        judge, chosen, looks = judge_of(task), next(batches(task.store, task.validation)), []
        for _ in range(2):
            started = now(self.device)
            judge.validated(learner, task, chosen)
            looks.append(now(self.device) - started)
        return looks[0] + looks[1] * (min(len(task.validation), judge.MOST) / len(chosen) - 1)
