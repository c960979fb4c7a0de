"""Ray Tune's side of a search: it asks Optuna's study for settings and stops the worse ones early."""

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
from experiments.search.optuna_study import Study
from experiments.search.pareto_front import Point, dominates
from experiments.search.protocol import HALVING, Protocol, Setting
from experiments.search.worker import (
    ASSIGNMENT,
    CELLS,
    DONE_CELLS,
    OPERATIONS,
    REASON,
    SCORE,
    SECONDS,
    Assignment,
    SearchWorker,
)
from experiments.sweep.live_line import Live
from experiments.trial_store.layout import Layout

OnChange = Callable[[Setting], None]  # is called whenever something new is known of a setting


class Asker(Searcher):
    """Passes the study's settings to Tune, and their scores back to the study.

    Tune's own OptunaSearch would not do. It tells Optuna that a setting which was stopped early is complete, forgets
    the settings that a killed search left running, and restarts the sampler's random stream when a search resumes.
    """

    def __init__(self, study: Study, layout: Layout, resources: Resources, on_change: OnChange) -> None:
        super().__init__(metric=SCORE, mode="max")
        self.study, self.layout, self.resources, self.on_change = study, layout.absolute(), resources, on_change
        self.numbers: dict[str, int] = {}  # numbers of settings by the names of Tune's trials

    def __getstate__(self) -> dict[str, Any]:
        return {}  # Tune saves its searcher to restore a search from; here the study is what a search resumes from

    def suggest(self, trial_id: str) -> dict[str, Any]:
        setting, protocol = self.study.ask(), self.study.protocol
        self.numbers[trial_id] = setting.number
        self.on_change(setting)
        assignment = Assignment(
            number=setting.number,
            trials=tuple(protocol.trials(setting.params)),
            layout=self.layout,
            threads=self.resources.cpus,
            gpu=self.resources.gpus > 0,
            keep=setting.params == protocol.shipped,
        )
        return {ASSIGNMENT: assignment}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if CELLS in result:
            self.on_change(self._report(self.numbers[trial_id], result))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        number = self.numbers.pop(trial_id, None)
        if number is None or (
            result is None and not error
        ):  # Tune dropped it before it began, so it is still to be tried
            return
        if result is not None and CELLS in result:
            self._report(number, result)
        failure = "its worker process died again" if result is None else result.get(REASON)
        self.on_change(self.study.end(number, failure))

    def _report(self, number: int, result: dict[str, Any]) -> Setting:
        return self.study.report(number, result[CELLS], result[SECONDS], result[OPERATIONS])

    def save(self, checkpoint_path: str) -> None:
        """Does nothing: the study is kept in its own storage."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing: the study is kept in its own storage."""


class Halving(ASHAScheduler):
    """Successive halving by the mean over cells. It counts the settings of earlier runs, and stops none with `keep`.

    Tune's median rule would not do. It compares a setting's best mean with the others' means of means; means over
    proportions from 1 % to 100 % grow with every cell, so the rule would stop next to nothing.

    Where cost is an objective, a setting is spared if no other one dominates it after as many cells. Halving by
    accuracy alone would cut off the cheap end of the front.
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
            kept = SimpleNamespace(keep=False)
            stand_in: Any = SimpleNamespace(trial_id=f"before-{setting.number}", config={ASSIGNMENT: kept})
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
        return TrialScheduler.CONTINUE if spared or trial.config[ASSIGNMENT].keep else decision

    def _on_front(self, result: dict[str, Any]) -> bool:
        """Returns whether no setting so far dominates this one, and notes it for the comparison with later ones."""
        point, others = (result[SCORE], fmean(result[OPERATIONS])), self.points.setdefault(result[DONE_CELLS], [])
        others.append(point)
        return not any(dominates(other, point) for other in others)


class Observer(tune.Callback):
    """Keeps the live line up to date."""

    def __init__(self, line: Callable[[], str], live: Live) -> None:
        self.line, self.live = line, live

    def __getstate__(self) -> dict[str, Any]:
        return {}  # as above

    def on_trial_recover(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        number = trial.config[ASSIGNMENT].number
        self.live.note(f"setting {number}: its worker process died; trying once more")

    def on_step_end(self, iteration: int, trials: list[Any], **info: Any) -> None:
        if self.live.due:
            self.live.show(self.line())


def try_settings(
    study: Study,
    layout: Layout,
    resources: Resources,
    on_change: OnChange,
    line: Callable[[], str],
    live: Live,
    own: bool,
) -> None:
    """Tries settings until the study's budget is reached, or until SIGINT. Needs a Ray that is running.

    Args:
        study: which settings to try.
        layout: where data and store are.
        resources: what each setting gets, and how many are tried at once.
        on_change: is called whenever something new is known of a setting.
        line: returns the text of the live line.
        live: shows it.
        own: whether Ray is this machine's own.

    Raises:
        Stalled: nothing runs any more.
    """
    finished = [setting for setting in study.settings() if setting.state in ("complete", "pruned")]
    fit(
        SearchWorker,
        resources,
        Observer(line, live),
        {},
        own,
        live.note,
        search_alg=Asker(study, layout, resources, on_change),
        scheduler=Halving(study.protocol, finished),
        num_samples=study.left,
        max_concurrent_trials=resources.workers,  # each setting is drawn when a worker is free, from all scores so far
    )
