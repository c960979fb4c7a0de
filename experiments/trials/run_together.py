"""Runs trials of one system as a stack: trained as one program, each with a folder and a result of its own.

The checkpoints of a stacked trial are those that it would write alone, so a trial begun in a stack can be finished
alone, and the other way round. Knows neither Ray nor MLflow.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from data.errors import UserError
from experiments.learning.contract import Stack
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout
from experiments.trials.grid import Trial
from experiments.trials.run import begin_training, conclude, failures_noted
from experiments.trials.training import Row, Training, TrialFailed, mean_scalars


def grouped(trials: Iterable[Trial], most: int, store: TrialStore) -> list[list[Trial]]:
    """Returns the trials in stacks of at most `most`, about equally large.

    A stack holds trials of one system, dataset and settings that differ in repetition, proportion and ξ alone, where
    the system can stack them. A trial that failed before is a stack of its own, whatever made it fail.
    """
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
    """Returns whether the trial's system can stack it with trials of other repetitions, proportions and ξ."""
    return trial.learned_by.stacks(trial.dataset, trial.xi, trial.settings)


@dataclass(frozen=True)
class Round:
    """What happened to trials in one step of their stack, by identity.

    `rows` are the rows of epochs. `ended` holds the trials that have ended, with the reason where they failed and None
    where they are done. `note` is a message for people.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    ended: dict[str, str | None] = field(default_factory=dict)
    note: str = ""


@dataclass(eq=False)
class _Member:
    trial: Trial
    training: Training
    lock: ExitStack
    stacked: int = 1  # the largest number of trials, this one included, that it was trained with
    alone: bool = False  # whether it must not be stacked again
    steps: list[Row] = field(default_factory=list)  # scalars of its last epoch in a stack, step by step

    @property
    def epochs(self) -> int:
        return len(self.training.rows)


def rounds(trials: Sequence[Trial], layout: Layout, store: TrialStore, device: torch.device) -> Generator[Round]:
    """Runs the trials, which have one system, to their ends; a round trains one epoch.

    Trials that have been through equally many epochs are trained as one; those that are behind come first, until
    they have caught up. A trial that fails is noted in its folder, and the others go on. Where their common program
    fails, each trial goes on by itself. Closed early, the generator leaves a checkpoint of each trial's last epoch.
    """
    with ExitStack() as locks:
        members = _Members(layout, device)
        done = members.begin(trials, store, locks)
        if done.ended:
            yield done
        while members.running:
            done = members.advance()
            try:
                yield done
            except GeneratorExit:
                members.save(at_once=True)
                raise
            if ended := members.save():
                yield Round(ended=ended)


class _Members:
    """The trials that have not ended, and the stack that some of them are trained in."""

    def __init__(self, layout: Layout, device: torch.device) -> None:
        self.layout, self.device = layout, device
        self.running: list[_Member] = []
        self.stack: Stack | None = None
        self.together: list[_Member] = []  # whom the stack trains

    def begin(self, trials: Sequence[Trial], store: TrialStore, locks: ExitStack) -> Round:
        """Begins each trial that has no result yet; returns those that have ended."""
        ended: dict[str, str | None] = {}
        for trial in trials:
            folder, lock = store.folder(trial.identity), locks.enter_context(ExitStack())
            try:
                lock.enter_context(folder.locked())
                if folder.result() is not None:
                    ended[trial.identity] = None
                    continue
                with self._taking_time(set()), failures_noted(folder):
                    training = begin_training(trial, self.layout, folder, self.device)
            except (TrialFailed, UserError) as failure:
                ended[trial.identity] = str(failure)
                lock.close()
            else:
                self.running.append(_Member(trial, training, lock))
        return Round(ended=ended)

    def save(self, at_once: bool = False) -> dict[str, str | None]:
        """Writes checkpoints that are due; returns the trials that failed because theirs could not be written."""
        ended: dict[str, str | None] = {}
        for member in list(self.running):
            try:
                with failures_noted(member.training.folder):
                    member.training.save(at_once)
            except TrialFailed as failure:
                ended[member.trial.identity] = str(failure)
                self._end(member)
        return ended

    def advance(self) -> Round:
        """Tests the trials whose epochs are over; where there are none, trains those with the fewest epochs."""
        if over := [member for member in self.running if member.training.over]:
            return Round(ended=dict(self._conclude(member) for member in over))
        behind = min(self.running, key=lambda member: member.epochs)
        group = [member for member in self.running if member.epochs == behind.epochs and not member.alone]
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
                stack = self._stack_of(group)
                scalars = _of_each(stack.epoch(number), len(group))
            except Exception as error:  # no one trial can be blamed; their learners are as they were before the epoch
                for member in group:
                    member.alone = True
                self.stack, self.together = None, []
                return Round(note=f"{len(group)} stacked trials go on by themselves: {type(error).__name__}: {error}")
            stack.settle()
        seconds = (time.perf_counter() - started) / len(group)
        for member, steps in zip(group, scalars, strict=True):
            member.stacked, member.steps = max(member.stacked, len(group)), steps
        return self._each(
            group, lambda member: member.training.trained(mean_scalars(iter(member.steps), number), seconds)
        )

    def _stack_of(self, group: list[_Member]) -> Stack:
        """Returns the stack of the group, a new one where it is not the one that was trained last."""
        if self.stack is None or group != self.together:
            self.stack = group[0].trial.learned_by.stack([member.training.learner for member in group])
            self.together = group
        return self.stack

    def _each(self, group: Sequence[_Member], epoch: Callable[[_Member], Row]) -> Round:
        """Runs `epoch` for each trial; returns its row, or why it failed."""
        done = Round()
        for member in group:
            name = member.trial.identity
            try:
                with self._taking_time({member}), failures_noted(member.training.folder):
                    done.rows[name] = epoch(member)
            except TrialFailed as failure:
                done.ended[name] = str(failure)
                self._end(member)
        return done

    def _end(self, member: _Member) -> None:
        self.running.remove(member)
        member.lock.close()

    @contextmanager
    def _taking_time(self, group: set[_Member]) -> Iterator[None]:
        """Divides the time that the block takes among the group; the other trials wait for it."""
        started = time.monotonic()
        try:
            yield
        finally:
            elapsed = time.monotonic() - started
            for member in self.running:
                member.training.waited += elapsed - (elapsed / len(group) if member in group else 0.0)


def _of_each(steps: Iterable[Mapping[str, float | Tensor]], count: int) -> list[list[Row]]:
    """Returns, for each of `count` learners, the scalars of every step. Reads them off their device once."""
    rows = list(steps)
    columns = {
        name: torch.stack([torch.as_tensor(row[name]).expand(count) for row in rows]).double().cpu().tolist()
        for name in rows[0]
    }
    return [
        [{name: values[step][which] for name, values in columns.items()} for step in range(len(rows))]
        for which in range(count)
    ]
