"""The training step of the model, its learning-rate schedule, and the fit of a label model to frozen codes."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from vae.model import Batch, VariationalAutoencoder

FITTED = 4_096  # labelled images that a step of `fit_label_model` takes, at most
REDRAWN = 10  # times that it draws the switches of an encoder that pools by draws


class Options(TypedDict):
    """The keyword arguments of a `Trainer`."""

    total_steps: int
    learning_rate: float
    noise_learning_rate: float
    warmup: float
    switch_warmup: float
    weight_decay: float
    clip: float
    label_learning_rate: float | None


class Trainer:
    """Minimises the loss with AdamW; the learning rate rises linearly, then falls to zero along a cosine.

    Args:
        total_steps: steps of the whole training.
        learning_rate: the highest learning rate.
        noise_learning_rate: the same for log α₀ alone, which has a long way to go (on MNIST from about 2 to about 5),
            while weights move by hundredths.
        warmup: share of the steps in which the learning rate rises.
        switch_warmup: share of the steps in which the weight of the switches' KL term rises from 0 to 1. A weight of 1
            from the start can push the switches back to their prior for good, before the decoder makes use of them
            (Sønderby et al. 2016, "Ladder variational autoencoders", section 2.3).
        weight_decay: decoupled weight decay of the filters and networks. The label model has none, since β has a
            Gaussian prior; neither have a caption model and log α₀.
        clip: the greatest norm of a step's whole gradient, of the loss per value of an image; a longer one is shortened
            to it (Pascanu et al. 2013, algorithm 1). It is for the rare step that would undo many others.
        label_learning_rate: learning rate of the label or caption model, if it differs.
    """

    def __init__(
        self,
        model: VariationalAutoencoder,
        *,
        total_steps: int,
        learning_rate: float,
        noise_learning_rate: float,
        warmup: float,
        switch_warmup: float,
        weight_decay: float,
        clip: float,
        label_learning_rate: float | None = None,
    ) -> None:
        self.model = model
        self.options: Options = {
            "total_steps": total_steps,
            "learning_rate": learning_rate,
            "noise_learning_rate": noise_learning_rate,
            "warmup": warmup,
            "switch_warmup": switch_warmup,
            "weight_decay": weight_decay,
            "clip": clip,
            "label_learning_rate": label_learning_rate,
        }
        undecayed = {id(p) for p in (*model.label_model.parameters(), model.decoder.log_alpha)}
        groups = [
            {"params": [p for p in model.parameters() if id(p) not in undecayed], "weight_decay": weight_decay},
            {
                "params": list(model.label_model.parameters()),
                "weight_decay": 0.0,
                "lr": label_learning_rate or learning_rate,
            },
            {"params": [model.decoder.log_alpha], "weight_decay": 0.0, "lr": noise_learning_rate},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=learning_rate, fused=True)
        self.total_steps, self.switch_warmup = total_steps, switch_warmup
        self.longest = clip * model.architecture.values
        warm = max(1, round(warmup * total_steps))

        def factor(step: int) -> float:
            if step < warm:
                return (step + 1) / warm
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total_steps - warm))))

        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, factor)

    def warmed_up(self, share: float) -> float:
        """Returns the weight for the next step of a term whose weight rises from 0 to 1 in that share of the steps."""
        done = self.schedule.last_epoch / self.total_steps
        return 1.0 if done >= share else done / share

    def step(self, batch: Batch, average: Callable[[nn.Module], None] | None = None) -> dict[str, Tensor]:
        """Takes one step; returns the parts of the objective as scalars, `loss` among them.

        Args:
            average: where several processes learn from parts of one batch, replaces the gradients of this process's
                part in the model by those of the whole batch.
        """
        if not self.model.training:
            self.model.train()
        return self._descend(*self.model.loss(batch, self.warmed_up(self.switch_warmup)), average)

    def _descend(
        self, loss: Tensor, parts: dict[str, Tensor], average: Callable[[nn.Module], None] | None = None
    ) -> dict[str, Tensor]:
        """Lowers the loss by one step of the optimiser and the schedule; returns `parts`."""
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if average is not None:
            average(self.model)
        self._clip()
        self.optimizer.step()
        self.schedule.step()
        return parts

    def _clip(self) -> None:
        """Shortens the gradient that is too long."""
        shorten([p.grad[None] for p in self.model.parameters() if p.grad is not None], self.longest)

    def state(self) -> dict[str, Any]:
        """Returns copies of the weights and of the states of optimiser and schedule.

        They are copied because PyTorch's own dictionaries share the tensors that training changes.
        """
        return copy.deepcopy(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
            }
        )

    def restore(self, state: Mapping[str, Any]) -> None:
        """Restores what `state` returned."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])


@torch.no_grad()
def shorten(gradients: Sequence[Tensor], longest: float) -> None:
    """Shortens the gradients [T, …] of all parameters so that no trial's, taken as one vector, is over `longest`."""
    norms = torch.stack([each.reshape(len(each), -1).norm(dim=1) for each in gradients]).norm(dim=0)
    factors = (longest / norms).clamp(max=1.0)
    for each in gradients:
        each.mul_(factors.view(-1, *(1,) * (each.ndim - 1)))


def fit_label_model(
    model: VariationalAutoencoder,
    batches: Callable[[], Iterable[Tensor]],
    labels: Tensor,
    *,
    steps: int = 400,
    rate: float = 0.02,
) -> None:
    """Fits p(y | s) alone to the frozen codes of labelled images: how a model trained with ξ = 0 gets a classifier.

    Maximises E_q(s|X)[log p(y|s)] + log p(β), with every code drawn anew at each step. A step takes `FITTED` images at
    most, drawn anew where there are more, so memory beyond the codes' means and deviations does not grow with their
    number. Under the shared reading these depend on the encoder's switches, which are drawn anew `REDRAWN` times.

    Args:
        batches: returns the labelled images in batches [B, N_c, H, W], in the order of `labels`.
        labels: of all these images, in their order.
        steps: of Adam.
        rate: the initial learning rate, which falls along a cosine.
    """
    model.eval()
    rounds = REDRAWN if model.reading == "shared" else 1
    optimizer = torch.optim.Adam(model.label_model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for step in range(steps):
        if step % math.ceil(steps / rounds) == 0:
            mean, sigma = _encoded(model, batches())
        chosen = torch.randperm(len(labels), device=labels.device)[:FITTED] if len(labels) > FITTED else slice(None)
        code = mean[..., chosen] + sigma[..., chosen] * torch.randn_like(mean[..., chosen])
        term = model.label_model.log_likelihood(code, labels[chosen]).mean()
        loss = -(term + model.label_model.log_prior() / len(labels))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()


@torch.no_grad()
def _encoded(model: VariationalAutoencoder, batches: Iterable[Tensor]) -> tuple[Tensor, Tensor]:
    """Returns mean and standard deviation of the codes of all images, each [K_L, m, n]."""
    encodings = [model.encode(images) for images in batches]
    mean = torch.cat([each.mean for each in encodings], dim=2)
    return mean, torch.cat([each.log_sigma for each in encodings], dim=2).exp()
