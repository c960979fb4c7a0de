"""Ray Tune's side of a search: Optuna's study asked for settings, the worse ones stopped early."""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean
from types import SimpleNamespace
from typing import Any

from ray import tune
from ray.tune.schedulers import ASHAScheduler, TrialScheduler
from ray.tune.search import Searcher

from experiments.compute.ray_tune import fit
from experiments.compute.resources import Resources
from experiments.learning import contract
from experiments.search.front import Point, dominates
from experiments.search.optuna_study import Study
from experiments.search.protocol import HALVING, Protocol, Setting
from experiments.search.worker import CELLS, DONE_CELLS, OPERATIONS, REASON, SCORE, SECONDS, SearchWorker, task
from experiments.sweep.live_line import Live
from experiments.trial_store.layout import Layout

Told = Callable[[Setting], None]  # what is done whenever something is known of a setting


class Asker(Searcher):
    """Gives Tune the study's settings, and the study their scores.

    Not Tune's own OptunaSearch: that one tells Optuna that a setting which was stopped early is complete, forgets those
    that a killed search left running, and starts its sampler's stream again whenever a search goes on.
    """

    def __init__(self, study: Study, layout: Layout, resources: Resources, told: Told) -> None:
        super().__init__(metric=SCORE, mode="max")
        self.study, self.layout, self.resources, self.told = study, layout.absolute(), resources, told
        self.numbers: dict[str, int] = {}  # Tune's names of settings -> ours

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune keeps a copy for restoring a search, which the study does here

    def suggest(self, trial_id: str) -> dict[str, Any]:
        setting, protocol = self.study.ask(), self.study.protocol
        self.numbers[trial_id] = setting.number
        self.told(setting)
        trials, system = protocol.trials(setting.params), contract.SYSTEMS.get(protocol.system)
        keep = setting.params == protocol.shipped
        gpu = self.resources.gpus > 0
        threads, cost = self.resources.cpus, protocol.weighs_cost
        return {"task": task(setting, trials, system, self.layout, threads, gpu, keep, cost)}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if CELLS in result:
            self.told(self._report(self.numbers[trial_id], result))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        number = self.numbers.pop(trial_id, None)
        if number is None or (result is None and not error):  # Tune gave it up before it began: it is still to be run
            return
        if result is not None and CELLS in result:
            self._report(number, result)
        failure = "its worker process died again" if result is None else result.get(REASON)
        self.told(self.study.end(number, failure))

    def _report(self, number: int, result: dict[str, Any]) -> Setting:
        return self.study.report(number, result[CELLS], result[SECONDS], result[OPERATIONS])

    def save(self, checkpoint_path: str) -> None:
        """The study keeps itself."""

    def restore(self, checkpoint_path: str) -> None:
        """The study keeps itself."""


class Halving(ASHAScheduler):
    """Successive halving by the mean over cells. Knows the settings of earlier runs; stops none that is to be kept.

    Not the median rule: Tune compares a setting's best mean with others' means of means, and means over proportions
    that rise from 1 % to 100 % grow with every cell, so that it would stop next to nothing.

    Where cost is an objective, it spares those that no other setting dominates after as many cells: the cheap end of
    the front is there for being cheap, and halving by accuracy would cut it off.
    """

    def __init__(self, protocol: Protocol, before: list[Setting]) -> None:
        super().__init__(
            time_attr=DONE_CELLS,
            metric=SCORE,
            mode="max",
            max_t=protocol.cells,
            grace_period=protocol.grace,
            reduction_factor=HALVING,
        )
        self.points: dict[int, list[Point]] = {}  # accuracy and cost by cells done, where cost is an objective
        for setting in before:
            stand_in: Any = SimpleNamespace(trial_id=f"before-{setting.number}", config={"task": {"keep": False}})
            controller: Any = None
            self.on_trial_add(controller, stand_in)
            for done in range(1, len(setting.cells) + 1):
                score = sum(setting.cells[:done]) / done
                costs = list(setting.operations[:done])
                self.on_trial_result(controller, stand_in, {DONE_CELLS: done, SCORE: score, OPERATIONS: costs})
            self.on_trial_remove(controller, stand_in)

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        decision = super().on_trial_result(tune_controller, trial, result)
        spared = bool(result.get(OPERATIONS)) and self._on_front(result)
        return TrialScheduler.CONTINUE if spared or trial.config["task"]["keep"] else decision

    def _on_front(self, result: dict[str, Any]) -> bool:
        """Whether no setting dominates this one so far, which is noted for those to come."""
        point, others = (result[SCORE], fmean(result[OPERATIONS])), self.points.setdefault(result[DONE_CELLS], [])
        others.append(point)
        return not any(dominates(other, point) for other in others)


class Observer(tune.Callback):
    """Keeps the live line up to date."""

    def __init__(self, line: Callable[[], str], live: Live) -> None:
        self.line, self.live = line, live

    def __getstate__(self) -> dict[str, Any]:
        return {}  # likewise

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        number = trial.config["task"]["number"]
        self.live.note(f"setting {number}: its worker process died; trying once more")

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self.live.due:
            self.live.show(self.line())


def run(study: Study, layout: Layout, resources: Resources, told: Told, line: Callable[[], str], live: Live) -> None:
    """Tries settings until the study's budget is reached, or SIGINT ends it; needs a Ray."""
    finished = [setting for setting in study.settings() if setting.state in ("complete", "pruned")]
    fit(
        SearchWorker,
        resources,
        Observer(line, live),
        {},
        search_alg=Asker(study, layout, resources, told),
        scheduler=Halving(study.protocol, finished),
        num_samples=study.left,
        max_concurrent_trials=resources.workers,  # a setting is drawn when a worker is free, and knows all that ended
    )
