"""A search's memory: an Optuna study in a database, which outlives whatever stops the search."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

import optuna
from optuna.storages import RDBStorage
from optuna.trial import FrozenTrial, TrialState

from data.seeds import seed_of
from experiments.search import past
from experiments.search.protocol import DRAWN, SHIPPED, Protocol, Setting, State
from experiments.settings.spaces import Dimension

STARTUP = 8  # settings drawn at random before their scores say where to look
# Attributes of Optuna's trials; the last one is of the study, too, once it has had its warm start.
CELLS, SECONDS, OPERATIONS, REASON, WARM = "cells", "seconds", "operations", "reason", "warm_start"
FIXED = "fixed_params"  # Optuna's own attribute of those that were not drawn
STATES: dict[TrialState, State] = {
    TrialState.COMPLETE: "complete",
    TrialState.PRUNED: "pruned",
    TrialState.FAIL: "failed",
    TrialState.RUNNING: "running",
}

optuna.logging.set_verbosity(optuna.logging.WARNING)


class _Sampler(optuna.samplers.TPESampler):
    """Optuna's TPE, whose numbers have few digits: those that are tried are those that are printed."""

    def __init__(self, space: Mapping[str, Dimension], seed: int) -> None:
        super().__init__(n_startup_trials=STARTUP, seed=seed)
        self.space = space

    def sample_relative(self, *args: Any) -> dict[str, Any]:
        return {name: self.space[name].rounded(value) for name, value in super().sample_relative(*args).items()}

    def sample_independent(self, study: Any, trial: Any, name: str, distribution: Any) -> Any:
        return self.space[name].rounded(super().sample_independent(study, trial, name, distribution))


class Study:
    """The settings of one protocol, by number: asked for, reported on, told the end of.

    What a killed search left running is asked for again first, under its number; the settings in use come next,
    unless they were tried, and after them the best ones of earlier studies, where the protocol asks for them. Each
    other one is drawn from a stream named after its number, so a search that was stopped draws nothing twice.

    With cost as the second objective it is the sampler's too: TPE's good settings are then those nearest to the front.
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
        self._interrupted = self._study.get_trials(states=[TrialState.RUNNING])
        self._open: dict[int, optuna.trial.Trial] = {}

    def _warm_up(self, storage: RDBStorage) -> None:
        """Asks for the best settings of earlier studies, once, and for no more of them than the budget has room."""
        asked = self._study.get_trials(deepcopy=False)
        room = min(self.protocol.warm_start, self.protocol.budget - len(asked))
        if room <= 0 or WARM in self._study.user_attrs:
            return
        known = [trial.system_attrs.get(FIXED, trial.params) for trial in asked]
        for params, name in past.first_ones(self.protocol, storage, known, room):
            self._study.enqueue_trial(params, {WARM: name})
        self._study.set_user_attr(WARM, room)

    def _sampler(self, number: int) -> _Sampler:
        seed = seed_of("search", study=self.protocol.name, number=number)
        return _Sampler(self.protocol.space, seed % 2**32)

    def settings(self) -> list[Setting]:
        """All that were asked for, by number."""
        return [_setting(trial) for trial in self._study.get_trials() if trial.state in STATES]

    def setting(self, number: int) -> Setting:
        return next(setting for setting in self.settings() if setting.number == number)

    @property
    def left(self) -> int:
        """Settings to try until the budget is reached and neither one left running nor the one in use is open."""
        states = [trial.state for trial in self._study.get_trials(deepcopy=False)]
        ended = sum(state.is_finished() for state in states)
        return max(self.protocol.budget - ended, len(states) - ended)

    def ask(self) -> Setting:
        """The next setting to try."""
        if self._interrupted:
            trial = optuna.trial.Trial(self._study, self._interrupted.pop(0)._trial_id)
        else:
            self._study.sampler = self._sampler(len(self._study.get_trials(deepcopy=False)))
            trial = self._study.ask()
        for dimension in self.protocol.space.values():
            dimension.draw(trial)
        self._open[trial.number] = trial
        return self.setting(trial.number)

    def report(self, number: int, cells: Sequence[float], seconds: float, operations: Sequence[float] = ()) -> Setting:
        """The setting's validation accuracy in each of its cells so far, the seconds they took, and their cost."""
        trial = self._open[number]
        trial.set_user_attr(CELLS, list(cells))
        trial.set_user_attr(SECONDS, seconds)
        if self.protocol.weighs_cost:
            trial.set_user_attr(OPERATIONS, list(operations))  # Optuna takes no values half-way of two objectives
        elif len(cells) not in self._study.get_trials(deepcopy=False)[number].intermediate_values:
            trial.report(statistics.fmean(cells), len(cells))
        return self.setting(number)

    def end(self, number: int, failure: str | None = None) -> Setting:
        """The setting has been through all cells, was stopped before, or has failed for that reason."""
        trial, found = self._open.pop(number), self.setting(number)
        if failure is not None:
            trial.set_user_attr(REASON, failure)
            self._study.tell(trial, state=TrialState.FAIL)
        elif len(found.cells) < self.protocol.cells:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, [found.score, found.cost] if self.protocol.weighs_cost else found.score)
        return self.setting(number)


def _setting(trial: FrozenTrial) -> Setting:
    known = trial.user_attrs
    cells, seconds = tuple(known.get(CELLS, ())), known.get(SECONDS, 0.0)
    asked = SHIPPED if FIXED in trial.system_attrs else DRAWN
    origin = f"warm start from {known[WARM]}" if WARM in known else asked
    state, costs = STATES[trial.state], tuple(known.get(OPERATIONS, ()))
    return Setting(trial.number, trial.params, state, cells, seconds, known.get(REASON, ""), costs, origin)
