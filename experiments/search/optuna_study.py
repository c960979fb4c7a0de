"""The memory of a search: an Optuna study in a database, from which a stopped search resumes."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from data.seeds import seed_of
from experiments.search import warm_starts
from experiments.search.optuna_internals import enqueued_params
from experiments.search.protocol import DRAWN, SHIPPED, Protocol, Setting, State
from experiments.settings.spaces import Dimension

STARTUP = 8  # settings drawn at random before their scores say where to look
# Attributes of Optuna's trials. The study has the last one too, once it has had its warm start.
CELLS, SECONDS, OPERATIONS, REASON, WARM = "cells", "seconds", "operations", "reason", "warm_start"
STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}

optuna.logging.set_verbosity(optuna.logging.WARNING)


class _Sampler(optuna.samplers.TPESampler):
    """Optuna's TPE sampler, with numbers rounded to few digits, so that what is printed is what was tried."""

    def __init__(self, space: Mapping[str, Dimension], seed: int) -> None:
        super().__init__(n_startup_trials=STARTUP, seed=seed)
        self.space = space

    def sample_relative(self, *args: Any) -> dict[str, Any]:
        return {name: self.space[name].rounded(value) for name, value in super().sample_relative(*args).items()}

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        return self.space[name].rounded(super().sample_independent(study, trial, name, distribution))


class Study:
    """The settings of one protocol, by number: which to try next, and what is known of each.

    Settings that a killed search left running come first, under their numbers. The settings in params.yaml come next,
    unless they were tried, then the best ones of earlier studies, where the protocol asks for a warm start. Optuna
    draws the others, each from a random stream named after its number, so that a stopped search repeats no draw.

    Where cost is the second objective, the sampler has it too: TPE then takes settings near the front as good.
    """

    def __init__(self, protocol: Protocol, storage: RDBStorage) -> None:
        self.protocol = protocol
        self._study = optuna.create_study(
            storage=storage,
            study_name=protocol.name,
            directions=["maximize", "minimize"] if protocol.weighs_cost else ["maximize"],
            sampler=self._sampler(0),
            pruner=optuna.pruners.NopPruner(),  # Ray Tune's scheduler stops settings
            load_if_exists=True,
        )
        self._study.enqueue_trial(protocol.shipped, skip_if_exists=True)
        self._warm_up(storage)
        self._storage = storage
        self._interrupted = [trial.number for trial in self._study.get_trials(states=[TrialState.RUNNING])]
        self._open: dict[int, optuna.trial.Trial] = {}

    def _warm_up(self, storage: RDBStorage) -> None:
        """Enqueues the best settings of earlier studies, once, and no more of them than the budget has room for."""
        asked = self._study.get_trials(deepcopy=False)
        room = min(self.protocol.warm_start, self.protocol.budget - len(asked))
        if room <= 0 or WARM in self._study.user_attrs:
            return
        enqueued = [(trial, enqueued_params(trial)) for trial in asked]
        known = [dict(trial.params if params is None else params) for trial, params in enqueued]
        for params, name in warm_starts.warm_starts(self.protocol, storage, known, room):
            self._study.enqueue_trial(params, {WARM: name})
        self._study.set_user_attr(WARM, room)

    def _sampler(self, number: int) -> _Sampler:
        seed = seed_of("search", study=self.protocol.name, number=number)
        return _Sampler(self.protocol.space, seed % 2**32)

    def settings(self) -> list[Setting]:
        """Returns all settings that were begun, by number."""
        return [_setting(trial) for trial in self._study.get_trials() if trial.state in STATES]

    def setting(self, number: int) -> Setting:
        """Returns one setting that was begun."""
        return next(setting for setting in self.settings() if setting.number == number)

    @property
    def left(self) -> int:
        """Number of settings to try until the budget is reached and no enqueued or interrupted setting is left."""
        states = [trial.state for trial in self._study.get_trials(deepcopy=False)]
        ended = sum(state.is_finished() for state in states)
        return max(self.protocol.budget - ended, len(states) - ended)

    def ask(self) -> Setting:
        """Returns the next setting to try."""
        if self._interrupted:
            study = self._storage.get_study_id_from_name(self.protocol.name)
            number = self._interrupted.pop(0)
            trial = optuna.trial.Trial(
                self._study, self._storage.get_trial_id_from_study_id_trial_number(study, number)
            )
        else:
            self._study.sampler = self._sampler(len(self._study.get_trials(deepcopy=False)))
            trial = self._study.ask()
        for dimension in self.protocol.space.values():
            dimension.draw(trial)
        self._open[trial.number] = trial
        return self.setting(trial.number)

    def report(self, number: int, cells: Sequence[float], seconds: float, operations: Sequence[float] = ()) -> Setting:
        """Notes the setting's score in each of its cells so far, the seconds of all cells and the operations."""
        trial = self._open[number]
        trial.set_user_attr(CELLS, list(cells))
        trial.set_user_attr(SECONDS, seconds)
        if self.protocol.weighs_cost:
            # An attribute, since Optuna takes no intermediate values where there are two objectives.
            trial.set_user_attr(OPERATIONS, list(operations))
        elif len(cells) not in self._study.get_trials(deepcopy=False)[number].intermediate_values:
            trial.report(statistics.fmean(cells), len(cells))
        return self.setting(number)

    def end(self, number: int, failure: str | None = None) -> Setting:
        """Notes that the setting has been through all cells, was stopped before, or has failed for the given reason."""
        trial, setting = self._open.pop(number), self.setting(number)
        if failure is not None:
            trial.set_user_attr(REASON, failure)
            self._study.tell(trial, state=TrialState.FAIL)
        elif len(setting.cells) < self.protocol.cells:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            values = (setting.score, setting.cost) if self.protocol.weighs_cost else (setting.score,)
            self._study.tell(trial, [value for value in values if value is not None])
        return self.setting(number)


def _setting(trial: FrozenTrial) -> Setting:
    known = trial.user_attrs
    cells, seconds = tuple(known.get(CELLS, ())), known.get(SECONDS, 0.0)
    enqueued = SHIPPED if enqueued_params(trial) is not None else DRAWN
    origin = f"warm start from {known[WARM]}" if WARM in known else enqueued
    state, costs = STATES[trial.state], tuple(known.get(OPERATIONS, ()))
    return Setting(trial.number, trial.params, state, cells, seconds, known.get(REASON, ""), costs, origin)
