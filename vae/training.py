"""One optimisation step of the model, and its learning-rate schedule."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from vae.model import Batch, VariationalAutoencoder


class Trainer:
    """Adam on the objective, the rate warmed up linearly and then lowered to zero along a cosine.

    Args:
        total_steps: steps of the whole training.
        learning_rate: at its highest.
        noise_learning_rate: the same for log α₀ alone, which has a long way to go (from about 2 to about 5
            on MNIST) where weights move by hundredths.
        warmup: share of the steps spent on warming up.
        switch_warmup: share of the steps over which the weight of the switches' KL term rises from 0 to 1. From the
            start at 1 it can push the switches back to their prior for good, before the decoder has a use for them
            (Sønderby et al. 2016, "Ladder variational autoencoders", section 2.3).
        weight_decay: decoupled, on the filters and networks (β has its Gaussian prior instead, a caption model none).
        label_learning_rate: of the label or caption model, where it is to differ.
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
        label_learning_rate: float | None = None,
    ) -> None:
        self.model = model
        self.options = {
            "total_steps": total_steps,
            "learning_rate": learning_rate,
            "noise_learning_rate": noise_learning_rate,
            "warmup": warmup,
            "switch_warmup": switch_warmup,
            "weight_decay": weight_decay,
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
        warm = max(1, round(warmup * total_steps))

        def factor(step: int) -> float:
            if step < warm:
                return (step + 1) / warm
            return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total_steps - warm))))

        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimizer, factor)

    def risen(self, warmup: float) -> float:
        """How far what rises from 0 to 1 in that share of the steps has come before the next one."""
        done = self.schedule.last_epoch / self.total_steps
        return 1.0 if done >= warmup else done / warmup

    def loss(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """What the next step lowers, and its parts."""
        return self.model.loss(batch, self.risen(self.switch_warmup))

    def step(self, batch: Batch, average: Callable[[nn.Module], None] | None = None) -> dict[str, Tensor]:
        """One step; the objective's parts, scalars, `loss` among them.

        `average` is given the model with the gradients of this batch, where it is a part of one that several processes
        learn from, and puts those of the whole in their place.
        """
        self.model.train()
        loss, parts = self.loss(batch)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if average is not None:
            average(self.model)
        self.optimizer.step()
        self.schedule.step()
        return parts

    def state(self) -> dict[str, Any]:
        """Weights, optimiser and schedule, copied: PyTorch's own dictionaries share what training changes."""
        return copy.deepcopy(
            {
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule.state_dict(),
            }
        )

    def restore(self, state: Mapping[str, Any]) -> None:
        """Takes back what `state` gave."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])


def fit_label_model(
    model: VariationalAutoencoder, batches: Iterable[Tensor], labels: Tensor, *, steps: int = 400, rate: float = 0.02
) -> None:
    """Fits p(y | s) alone on the frozen codes of labelled images, the ξ = 0 way to a classifier; the images come in
    batches [B, N_c, H, W], of which only the codes are kept.

    Maximises E_q(s|X)[log p(y|s)] + log p(β), a fresh draw of every code at each step.
    """
    model.eval()
    with torch.no_grad():
        encodings = [model.encode(images) for images in batches]
        mean = torch.cat([e.mean for e in encodings], dim=2)
        sigma = torch.cat([e.log_sigma for e in encodings], dim=2).exp()
    optimizer = torch.optim.Adam(model.label_model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        code = mean + sigma * torch.randn_like(mean)
        term = model.label_model.log_likelihood(code, labels).mean()
        loss = -(term + model.label_model.log_prior() / len(labels))
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
