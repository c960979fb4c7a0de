"""Several trials' models trained as one program, each with the numbers that it would have alone.

Weights, optimiser state and batches have one more dimension, the first, for the trials. `torch.vmap` runs the model's
loss for all of them at once (see `vae.folding` and `vae.noise`), and Adam works element by element: no trial's numbers
depend on the others', whatever becomes of them. A program of T trials has about as many operations as that of one,
which pays off where the operations are too small to fill a device.
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
from vae.training import Trainer


class _Objective(nn.Module):
    """The model's loss as a module, which `functional_call` asks for."""

    def __init__(self, model: VariationalAutoencoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Batch, switch_weight: float) -> tuple[Tensor, dict[str, Tensor]]:
        return self.model.loss(batch, switch_weight)


class StackedTrainer(Trainer):
    """Trains the models of trainers that are equally far and were made alike, from their present states on.

    The trainers' own models stay as they are until they are given their `states`.

    Raises:
        ValueError: they were not made alike, are not equally far, or their models keep more than weights.
    """

    def __init__(self, trainers: Sequence[Trainer]) -> None:
        first, *others = trainers
        if any(other.options != first.options for other in others):
            raise ValueError("trainers with different settings cannot be stacked")
        if any(other.schedule.last_epoch != first.schedule.last_epoch for other in others):
            raise ValueError("trainers at different steps cannot be stacked")
        if first.model.state_dict().keys() != dict(first.model.named_parameters()).keys():
            raise ValueError("a model that keeps statistics beside its weights cannot be stacked")
        stacked = copy.deepcopy(first.model)
        weights = [dict(trainer.model.named_parameters()) for trainer in trainers]
        for name, parameter in stacked.named_parameters():
            parameter.data = torch.stack([each[name].data for each in weights])
        super().__init__(stacked, **first.options)
        self.trials = len(trainers)
        self.objective = _Objective(stacked)
        states = [trainer.state() for trainer in trainers]
        moments = [state["optimizer"]["state"] for state in states]
        self.optimizer.load_state_dict(
            {
                "param_groups": states[0]["optimizer"]["param_groups"],
                "state": {index: _joined([each[index] for each in moments]) for index in moments[0]},
            }
        )
        self.schedule.load_state_dict(states[0]["schedule"])

    def step_together(self, batches: Mapping[str, Any], streams: Sequence[torch.Generator]) -> dict[str, Tensor]:
        """One step of every trial; the objective's parts, each [T].

        Args:
            batches: what `Batch.of` takes, each tensor with the trials' dimension before its own.
            streams: each trial's, which its numbers are drawn from.
        """
        with drawn_from(streams):
            return self.step(batches)

    def loss(self, batches: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
        """The sum of the trials' losses, and their parts, each [T]."""
        switch_weight = self.risen(self.switch_warmup)

        def alone(weights: Mapping[str, Tensor], batch: Mapping[str, Any]) -> tuple[Tensor, dict[str, Tensor]]:
            return functional_call(self.objective, dict(weights), (Batch.of(batch), switch_weight))

        losses, parts = torch.vmap(alone)(dict(self.objective.named_parameters()), dict(batches))
        return losses.sum(), parts

    def states(self) -> list[dict[str, Any]]:
        """What each trial's own trainer would give as its `state`."""
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


_STEP = "step"  # Adam's only number that is not one for each weight: all trials are equally far


def _joined(moments: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """What Adam keeps of one parameter, of all trials."""
    return {
        name: value if name == _STEP else torch.stack([each[name] for each in moments])
        for name, value in moments[0].items()
    }


def _of_trial(moments: Mapping[str, Tensor], trial: int) -> dict[str, Tensor]:
    """What Adam keeps of one parameter, of one trial, in memory of its own."""
    return {name: (value if name == _STEP else value[trial]).clone() for name, value in moments.items()}
