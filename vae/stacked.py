"""Trains the models of several trials as one program; each gets the numbers that it would get alone.

Weights, buffers, optimiser state and batches have one more dimension, the first, for the trials. `torch.vmap` runs the
model's loss for all of them at once (see `vae.vmap_functions` and `vae.noise`), Adam works element by element, and each
trial's gradient is shortened by its own length. So no trial's numbers depend on another's, even if one diverges. A
program for T trials has about as many operations as a program for one. This pays where the operations are too small to
fill a device.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

from vae.model import Batch, VariationalAutoencoder
from vae.noise import drawn_from
from vae.training import Trainer, shorten


class _Objective(nn.Module):
    """The model's loss as a module, which `functional_call` asks for."""

    def __init__(self, model: VariationalAutoencoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, switch_weight: float) -> tuple[Tensor, dict[str, Tensor]]:
        return self.model.loss(batch, switch_weight)


class StackedTrainer(Trainer):
    """Continues the training of several trainers with equal options that are at the same step.

    The trainers' own models stay unchanged until each trainer restores its part of `states`.

    Raises:
        ValueError: the options or the steps differ, or the estimators keep statistics from step to step.
    """

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        first, *others = trainers
        if any(other.options != first.options for other in others):
            raise ValueError("trainers with different settings cannot be stacked")
        if any(other.schedule.last_epoch != first.schedule.last_epoch for other in others):
            raise ValueError("trainers at different steps cannot be stacked")
        if first.model.estimator.keeps_statistics:
            raise ValueError("a model whose estimator keeps statistics cannot be stacked")
        stacked = copy.deepcopy(first.model)
        own = [trainer.model.state_dict() for trainer in trainers]
        for name, value in stacked.state_dict(keep_vars=True).items():
            value.data = torch.stack([each[name] for each in own])
        super().__init__(stacked, **first.options)
        self.trials = len(trainers)
        self.objective = _Objective(stacked)
        states = [trainer.state() for trainer in trainers]
        moments = [state["optimizer"]["state"] for state in states]
        self.optimizer.load_state_dict(
            {
                "param_groups": states[0]["optimizer"]["param_groups"],
                "state": {index: _stacked([each[index] for each in moments]) for index in moments[0]},
            }
        )
        self.schedule.load_state_dict(states[0]["schedule"])

    def step_together(self, batches: Mapping[str, Any], streams: Sequence[torch.Generator]) -> dict[str, Tensor]:
        """Takes one step of every trial; returns the parts of their objectives, each [T].

        Args:
            batches: what `Batch.of` takes, each tensor with the dimension of the trials before its own.
            streams: the random stream of each trial.
        """
        with drawn_from(streams):
            self.model.train()
            return self._descend(*self._stacked_loss(batches))

    def _stacked_loss(self, batches: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns the sum of the trials' losses, and the parts of their objectives, each [T]."""
        switch_weight = self.warmed_up(self.switch_warmup)

        def alone(weights: Mapping[str, Tensor], batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
            return functional_call(self.objective, dict(weights), (Batch.of(batch), switch_weight))

        losses, parts = torch.vmap(alone)(self.objective.state_dict(keep_vars=True), dict(batches))
        return losses.sum(), parts

    def _clip(self) -> None:
        """Shortens each trial's gradient that is too long."""
        shorten([p.grad for p in self.model.parameters() if p.grad is not None], self.longest)

    def states(self) -> list[dict[str, Any]]:
        """Returns for each trial what its own trainer's `state` would be."""
        whole = self.state()
        groups, moments = whole["optimizer"]["param_groups"], whole["optimizer"]["state"]
        return [
            {
                "model": {name: value[trial].clone() for name, value in whole["model"].items()},
                "optimizer": {
                    "param_groups": groups,
                    "state": {index: _of_trial(each, trial) for index, each in moments.items()},
                },
                "schedule": whole["schedule"],
            }
            for trial in range(self.trials)
        ]


_STEP = "step"  # the only part of Adam's state that is not one number per weight; equal in all trials


def _stacked(moments: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Stacks Adam's state of one parameter over the trials."""
    return {
        name: value if name == _STEP else torch.stack([each[name] for each in moments])
        for name, value in moments[0].items()
    }


def _of_trial(moments: Mapping[str, Tensor], trial: int) -> dict[str, Tensor]:
    """Copies Adam's state of one parameter of one trial."""
    return {name: (value if name == _STEP else value[trial]).clone() for name, value in moments.items()}
