"""What trials will cost before they are run: seconds of one worker, and memory of its GPU."""

from __future__ import annotations

import copy
import statistics
from collections.abc import Iterable
from contextlib import closing

import torch

from data.prepared.store import batches
from experiments.compute.gpu_memory import Held, Meter, beside_tensors
from experiments.learning.contract import Learner, Task
from experiments.learning.device import now
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout
from experiments.trials.grid import Trial
from experiments.trials.run import prepare
from experiments.trials.training import judge_of


class Costs:
    """Expected seconds and GPU memory of trials, by system and proportion.

    Where the store has done trials of the same system and proportion, their median seconds are expected. Elsewhere
    a learner takes a few real steps and evaluates some validation images, and both times are multiplied by how often
    its epochs do so.

    Args:
        trials: the trials whose results in the store count as measured.
        store: the trial store.
        layout: where the data are.
        device: where to take the steps.
        budget: seconds that a learner's steps may take.
        each_proportion: whether steps are timed at each proportion, or, more quickly, once for each system.
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
        """Returns whether done trials of the same system and proportion tell the cost of this one."""
        return (trial.system, trial.proportion) in self.measured

    def seconds(self, trial: Trial) -> float:
        """Returns the seconds that the trial is expected to take.

        Raises what making its learner or taking its first steps raises.
        """
        key = trial.system, trial.proportion
        if key in self.measured:
            return self.measured[key]
        if key not in self._estimates:
            self._estimates[key] = self._estimate(trial)
        return self._estimates[key]

    def held(self, trial: Trial) -> Held:
        """Returns the GPU memory that the trial's steps, validation and checkpoint hold; none on a CPU.

        It is always measured, whatever the store holds. Raises what making its learner or its first steps raises.
        """
        if trial.system not in self._held:
            self._estimate(trial)
        return self._held[trial.system]

    @property
    def grown(self) -> int:
        """Bytes of the GPU that libraries have taken since this object was made."""
        return beside_tensors(self.device) - self._beside if self.device.type == "cuda" else 0

    def _estimate(self, trial: Trial) -> float:
        self._meter.start()
        task, learner = prepare(trial, self.layout, self.device)
        key = trial.system, trial.proportion if self.each_proportion else None
        if key not in self._rates or trial.system not in self._held:
            self._rates[key] = self._time(task, learner)
            images = task.store.nbytes if isinstance(task.store.images, torch.Tensor) else 0
            seen = Held(images, self._meter.peak - images)
            self._held[trial.system] = max(seen, self._held.get(trial.system, seen), key=lambda held: held.trial)
        step, validation = self._rates[key]
        return learner.epochs * (step * learner.steps_per_epoch + validation)

    def _time(self, task: Task, learner: Learner) -> tuple[float, float]:
        """Returns the seconds of a training step and of a validation."""
        seconds: list[float] = []  # of each step; the first allocates memory and counts only where it is alone
        # `epoch` is a generator in every system.
        with closing(learner.epoch(0)) as steps:  # type: ignore[type-var]
            while sum(seconds[1:]) < self.budget:
                started = now(self.device)
                if next(steps, None) is None:
                    break
                seconds.append(now(self.device) - started)
        validation = self._time_validation(task, learner)
        # A trial keeps copies of both beside its learner, which belong to the memory that is measured.
        _kept = copy.deepcopy(learner.model.state_dict()), learner.state()
        return statistics.mean(seconds[1:] or seconds), validation

    def _time_validation(self, task: Task, learner: Learner) -> float:
        """Returns the seconds of a validation, from two of some images: the first may prepare what later ones reuse."""
        judge, chosen = judge_of(task), next(batches(task.store, task.validation))
        seconds: list[float] = []
        for _ in range(2):
            started = now(self.device)
            judge.validated(learner, task, chosen)
            seconds.append(now(self.device) - started)
        return seconds[0] + seconds[1] * (min(len(task.validation), judge.most) / len(chosen) - 1)
