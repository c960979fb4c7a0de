"""Running trials of one system as a stack: trained as one program, each with a folder and a result of its own.

A trial's checkpoints are those that it would write alone, so that one begun in a stack can be finished alone, and the
other way round. Knows neither Ray nor MLflow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from data.errors import UserError
from experiments.learning import contract
from experiments.learning.contract import Stack, System
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout
from experiments.trials.grid import Trial
from experiments.trials.run import begun, conclude, failures_noted
from experiments.trials.training import Row, Training, TrialFailed, mean_scalars


def grouped(trials: Iterable[Trial], most: int, store: TrialStore) -> list[list[Trial]]:
    """The trials in stacks of at most so many, about equally large: together are those of one system, dataset and
    settings that differ in repetition, proportion and ξ alone, where their system can stack them. One that failed
    before is run by itself, whatever ended it."""
    alike: dict[object, list[Trial]] = {}
    for trial in trials:
        failed = store.folder(trial.identity).failure() is not None
        key = trial.identity if failed or not stackable(trial) else (trial.system, trial.dataset, repr(trial.settings))
        alike.setdefault(key, []).append(trial)
    stacks = []
    for members in alike.values():
        count = -(-len(members) // most)
        stacks += [members[part::count] for part in range(count)]
    return stacks


def stackable(trial: Trial) -> bool:
    """Whether its system can stack it with trials that differ in repetition, proportion and ξ alone."""
    system = contract.SYSTEMS.get(trial.system)
    return system.stacks(trial.dataset, trial.xi, system.Settings.model_validate(trial.settings))


@dataclass(frozen=True)
class Round:
    """What has happened to trials, by identity: the `rows` of epochs, and which have `ended`, with the reason where
    they failed; `note` is for whoever watches."""

    rows: dict[str, Row] = field(default_factory=dict)
    ended: dict[str, str | None] = field(default_factory=dict)
    note: str = ""


@dataclass(eq=False)
class _Member:
    trial: Trial
    training: Training
    lock: ExitStack
    stacked: int = 1  # the most that it was trained with, itself among them
    alone: bool = False  # whether it is not to be stacked again
    steps: list[Row] = field(default_factory=list)  # of the last epoch that it was trained for in a stack

    @property
    def epochs(self) -> int:
        return len(self.training.rows)


def rounds(
    trials: Sequence[Trial], system: System, layout: Layout, store: TrialStore, device: torch.device
) -> Generator[Round]:
    """Runs the trials to their ends, an epoch a round; closed early, it leaves a checkpoint of each one's last.

    Those that are equally far are trained as one; those behind come first, until they have caught up. A trial that
    fails is noted in its folder, and the others go on; where their common program fails, each goes on by itself.
    """
    with ExitStack() as locks:
        run = _Run(system, layout, device)
        done = run.begin(trials, store, locks)
        if done.ended:
            yield done
        while run.members:
            done = run.turn()
            try:
                yield done
            except GeneratorExit:
                run.save(at_once=True)
                raise
            if ended := run.save():
                yield Round(ended=ended)


class _Run:
    """The trials that have not ended, and the stack that some of them are trained in."""

    def __init__(self, system: System, layout: Layout, device: torch.device) -> None:
        self.system, self.layout, self.device = system, layout, device
        self.members: list[_Member] = []
        self.stack: Stack | None = None
        self.together: list[_Member] = []

    def begin(self, trials: Sequence[Trial], store: TrialStore, locks: ExitStack) -> Round:
        """Takes up each trial that has no result yet."""
        ended: dict[str, str | None] = {}
        for trial in trials:
            folder, lock = store.folder(trial.identity), locks.enter_context(ExitStack())
            try:
                lock.enter_context(folder.alone())
                if folder.result() is not None:
                    ended[trial.identity] = None
                    continue
                with self._taking_time(set()), failures_noted(folder):
                    training = begun(trial, self.system, self.layout, folder, self.device)
            except (TrialFailed, UserError) as failure:
                ended[trial.identity] = str(failure)
                lock.close()
            else:
                self.members.append(_Member(trial, training, lock))
        return Round(ended=ended)

    def save(self, at_once: bool = False) -> dict[str, str | None]:
        """Writes checkpoints, where it is time; which trials have ended because theirs could not be written."""
        ended: dict[str, str | None] = {}
        for member in list(self.members):
            try:
                with failures_noted(member.training.folder):
                    member.training.save(at_once)
            except TrialFailed as failure:
                ended[member.trial.identity] = str(failure)
                self._end(member)
        return ended

    def turn(self) -> Round:
        """Tests those whose epochs are over; where there are none, trains those that are furthest behind."""
        if over := [member for member in self.members if member.training.over]:
            return Round(ended=dict(self._conclude(member) for member in over))
        behind = min(self.members, key=lambda member: member.epochs)
        group = [member for member in self.members if member.epochs == behind.epochs and not member.alone]
        if behind.alone or len(group) == 1:
            return self._each([behind], lambda member: member.training.epoch())
        return self._train_together(group)

    def _conclude(self, member: _Member) -> tuple[str, str | None]:
        reason = None
        with self._taking_time({member}):
            try:
                with failures_noted(member.training.folder):
                    facts = {"stacked": member.stacked} if member.stacked > 1 else {}
                    conclude(member.trial, member.training, self.layout, facts)
            except TrialFailed as failure:
                reason = str(failure)
        self._end(member)
        return member.trial.identity, reason

    def _train_together(self, group: list[_Member]) -> Round:
        number, started = group[0].epochs, time.perf_counter()
        with self._taking_time(set(group)):
            try:
                if group != self.together:
                    self.stack = self.system.stack([member.training.learner for member in group])
                    self.together = group
                scalars = _of_each(self.stack.epoch(number), len(group))
            except Exception as error:  # whose fault it is cannot be told: their learners are as they were before
                for member in group:
                    member.alone = True
                self.stack, self.together = None, []
                return Round(note=f"{len(group)} stacked trials go on by themselves: {type(error).__name__}: {error}")
            self.stack.settle()
        seconds = (time.perf_counter() - started) / len(group)
        for member, steps in zip(group, scalars, strict=True):
            member.stacked, member.steps = max(member.stacked, len(group)), steps
        return self._each(
            group, lambda member: member.training.trained(mean_scalars(iter(member.steps), number), seconds)
        )

    def _each(self, group: Sequence[_Member], epoch: Callable[[_Member], Row]) -> Round:
        """Each trial's row, or why it has none and has ended."""
        found = Round()
        for member in group:
            name = member.trial.identity
            try:
                with self._taking_time({member}), failures_noted(member.training.folder):
                    found.rows[name] = epoch(member)
            except TrialFailed as failure:
                found.ended[name] = str(failure)
                self._end(member)
        return found

    def _end(self, member: _Member) -> None:
        self.members.remove(member)
        member.lock.close()

    @contextmanager
    def _taking_time(self, group: set[_Member]) -> Iterator[None]:
        """The time that the block takes is shared by the group, and the other trials wait for it."""
        started = time.monotonic()
        try:
            yield
        finally:
            elapsed = time.monotonic() - started
            for member in self.members:
                member.training.waited += elapsed - (elapsed / len(group) if member in group else 0.0)


def _of_each(steps: Iterable[Mapping[str, float | Tensor]], count: int) -> list[list[Row]]:
    """Each of so many learners' scalars of every step, read off their device once."""
    rows = list(steps)
    columns = {
        name: torch.stack([torch.as_tensor(row[name]).expand(count) for row in rows]).double().cpu().tolist()
        for name in rows[0]
    }
    return [
        [{name: values[step][which] for name, values in columns.items()} for step in range(len(rows))]
        for which in range(count)
    ]
