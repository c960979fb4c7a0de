"""The paper's model as a learner, which `bsvm`, `softmax`, `tbsvm`, `m2`, `caption` and `neighbour` share."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np
import torch
from pydantic import Field, field_validator, model_validator
from torch import Tensor

from data.errors import UserError
from data.prepared.store import batches
from data.seeds import seed_of
from experiments.learning.arithmetic import Arithmetic
from experiments.learning.augmentation import Augmentation
from experiments.learning.contract import Learner, Task
from experiments.learning.length import Length
from experiments.learning.memory import check_memory
from experiments.learning.randomness import Stream, seeded
from experiments.learning.recipes import Picked, Recipe, gathered
from vae.architecture import Architecture, architecture_for, architecture_named
from vae.caption_model import CaptionModel
from vae.decoder import Decoder
from vae.encoder import Encoder
from vae.estimators.contract import LABELS, estimator_named, sources_of
from vae.labels import LabelModel
from vae.model import Batch, VariationalAutoencoder
from vae.objective import xi_as_number
from vae.prediction import class_log_probabilities
from vae.training import Trainer, fit_label_model

MEASURED = 4_000_000  # values of training images, at most, that their ground and scale are measured on
ENCODED = 256  # labelled images, at most, that are encoded at a time


class VariationalSettings(Augmentation, Arithmetic, Length):
    """Section `vae` of params.yaml: the model and how it is trained. Only labelled images are augmented."""

    architecture: str | None = Field(description="row of Table 2; null takes the dataset's")
    reading: Literal["factorised", "shared"] = Field(description="of q(s, z | X)")
    estimator: str = Field(description="of the gradient through the switches")
    activation: Literal["relu", "none"] = Field(description="of the encoder's maps after pooling")
    switch_hidden: int = Field(ge=1, le=4_096, description="tanh units of a layer's switch network")
    code_hidden: int = Field(ge=1, le=4_096, description="tanh units of each top map's network, eq (27)")
    log_alpha: float | None = Field(ge=-10, le=20, description="where log α₀ starts; null is measured")
    xi_factor: float = Field(gt=0, le=1e6, description='of the ξ that "auto" stands for')
    batch: int = Field(ge=1, le=65_536, description="images a step, their labels unused")
    labelled_batch: int = Field(ge=1, le=65_536, description="labelled images a step")
    learning_rate: float = Field(gt=0, le=1, description="on digits; other rows take a share of it")
    noise_learning_rate: float = Field(gt=0, le=1, description="of log α₀")
    warmup: float = Field(ge=0, lt=1, description="share of the steps")
    switch_warmup: float = Field(ge=0, le=1, description="share of the steps in which the switches' KL comes in")
    weight_decay: float = Field(ge=0, le=10)
    clip: float = Field(gt=0, le=1e9, description="greatest norm of a gradient, of the loss per value of an image")
    draws: int = Field(ge=0, le=1_000, description="N_s, codes averaged over at test time; 0 takes the mean code")
    precision: float = Field(ge=0, le=1e6, description="of the Gaussian prior of β")

    @field_validator("architecture")
    @classmethod
    def _known_architecture(cls, name: str | None) -> str | None:
        return name if name is None else _known(architecture_named, name).name

    @model_validator(mode="after")
    def _estimator_serves_reading(self) -> VariationalSettings:
        readings = _known(estimator_named, self.estimator).readings
        if self.reading not in readings:
            raise ValueError(
                f"estimator {self.estimator!r} cannot serve reading {self.reading!r}: "
                f"it serves {', '.join(sorted(readings))}"
            )
        return self


VariationalSettingsT = TypeVar("VariationalSettingsT", bound=VariationalSettings)
Known = TypeVar("Known")


def _known(look_up: Callable[[str], Known], name: str) -> Known:
    """Looks a name up; turns the KeyError of an unknown name into the ValueError that a validator reports."""
    try:
        return look_up(name)
    except KeyError as error:
        raise ValueError(error.args[0]) from None


def _architecture(task: Task, settings: VariationalSettings) -> Architecture:
    """Returns the row of Table 2 that the settings name, or the dataset's. UserError where images do not fit it."""
    dataset = task.axes["dataset"]
    try:
        named = settings.architecture
        architecture = architecture_named(named) if named else architecture_for(dataset)
    except KeyError as error:
        raise UserError(f"vae.architecture: {error.args[0]}") from None
    if task.store.shape != (architecture.channels, architecture.side, architecture.side):
        channels, height, width = task.store.shape
        raise UserError(
            f"vae.architecture {architecture.name!r} takes images of {architecture.side}×{architecture.side}"
            f"×{architecture.channels}, dataset {dataset!r} has {height}×{width}×{channels}: name another row"
        )
    return architecture


def _check_memory(task: Task, settings: VariationalSettings, architecture: Architecture) -> int:
    """Returns the bytes of the networks, and of the maps that they make of a step's images. UserError for too many."""
    # All images are encoded and decoded, those with labels encoded once more.
    images = 2 * min(settings.batch, len(task.train)) + settings.labelled_batch
    weights = 3 * math.prod(architecture.code_shape) * settings.code_hidden
    return check_memory(task.device, weights, architecture.map_values, images)


def share_of_rate(architecture: Architecture) -> float:
    """Returns the share of the settings' learning rate that an architecture learns at; 1 for that of digits.

    Adam moves each weight by about the rate, whatever the gradient, so that a sum of n weighted values moves n times as
    far. Hence the rate falls as 1/n, for the filters that read most (Yang et al. 2021, "Tensor programs V", table 3).
    """
    return min(1.0, architecture_named("mnist").fan_in / architecture.fan_in)


def _passes(order: np.random.Generator, indices: np.ndarray, count: int) -> np.ndarray:
    """Returns `count` indices: whole passes over them, each in an order of its own, the last one cut off."""
    return np.concatenate([order.permutation(indices) for _ in range(math.ceil(count / len(indices)))])[:count]


class VariationalLearner(Learner, Generic[VariationalSettingsT]):
    """Trains the model on all training images, and on the labels of the labelled ones.

    Args:
        task: what is learned from; its `xi` must not be None.
        settings: the model and its training.
        label_model: makes the label or caption model from the number of values in a code, the encoder's output.

    Attributes:
        label_weight: ξ·ρ, the weight of the label term against the bound of one image; 0 leaves the labels out.
        label_learning_rate: the label model's learning rate, where it is not that of the other networks.
        label_terms: the terms of the objective that labels have, where ξ is not 0.
    """

    Model: ClassVar[type[VariationalAutoencoder]] = VariationalAutoencoder
    model: VariationalAutoencoder
    averages: Sequence[int] = (0, 1, 10, 100)
    label_learning_rate: float | None = None
    label_terms: ClassVar[Sequence[str]] = (LABELS,)

    def __init__(
        self, task: Task, settings: VariationalSettingsT, label_model: Callable[[int], LabelModel | CaptionModel]
    ) -> None:
        assert task.xi is not None
        self.task, self.settings = task, settings
        architecture = _architecture(task, settings)
        self.least_memory = _check_memory(task, settings, architecture)
        labelled_share = len(task.labelled) / len(task.train)
        self.xi_value = xi_as_number(task.xi, architecture.values, self.outcomes, labelled_share, settings.xi_factor)
        self.label_weight = self.xi_value * labelled_share
        self.answers = self.xi_value > 0
        self.batch = min(settings.batch, len(task.train))
        self.epochs, self.steps_per_epoch = settings.schedule(len(task.train), self.batch)
        self.images_per_step = self.batch + (settings.labelled_batch if self.label_weight else 0)
        with self._stream("weights"):
            self.model = self.Model(
                architecture,
                Encoder(
                    architecture, settings.activation, settings.switch_hidden, settings.code_hidden, settings.factors
                ),
                Decoder(architecture, 0.0, settings.factors),
                label_model(math.prod(architecture.code_shape)),
                estimator_named(settings.estimator)(architecture, self.signal_sources()),
                settings.reading,
            ).to(task.device)
        self._measure_images()
        self.train_for(self.epochs * self.steps_per_epoch)

    @property
    def outcomes(self) -> float:
        """The number that "auto" divides by to find ξ: C, the number of classes."""
        return self.task.classes

    def signal_sources(self) -> list[str]:
        """Returns the parts of the objective that the draws of the switches influence."""
        return sources_of(self.settings.reading, self.label_terms if self.label_weight else ())

    @torch.no_grad()
    def _measure_images(self) -> None:
        """Measures the ground and the scale of training images, and starts log α₀ at their precision about the ground.

        Of many images a sample is measured, the same in all processes. No label is read.
        """
        task, standardisation = self.task, self.model.standardisation
        count = min(len(task.train), max(1, MEASURED // math.prod(task.store.shape)))
        chosen = np.random.default_rng(seed_of("measured", **task.axes)).choice(task.train, count, replace=False)
        standardisation.measure(task.store.batch(chosen, task.device))
        given = self.settings.log_alpha
        self.model.decoder.log_alpha.fill_(standardisation.log_precision if given is None else given)

    def train_for(self, steps: int) -> None:
        """Makes the optimiser and a learning-rate schedule over so many steps, at its first step."""
        self.trainer = Trainer(
            self.model,
            total_steps=steps,
            learning_rate=self.settings.learning_rate * share_of_rate(self.model.architecture),
            noise_learning_rate=self.settings.noise_learning_rate,
            warmup=self.settings.warmup,
            switch_warmup=self.settings.switch_warmup,
            weight_decay=self.settings.weight_decay,
            clip=self.settings.clip,
            label_learning_rate=self.label_learning_rate,
        )

    def _stream(self, name: str, **axes: Any) -> AbstractContextManager[None]:
        """Returns a context in which PyTorch draws from the trial's stream of that name."""
        return seeded(seed_of(name, **self.task.axes, **axes), self.task.device)

    def epoch(self, epoch: int) -> Iterator[Mapping[str, float | Tensor]]:
        """Trains on about one pass over all training images; labelled images repeat as often as batches ask."""
        for step, indices in enumerate(self.order(epoch)):
            part, labelled = (self.task.ranks.part(each) for each in indices)
            share = len(part) / len(indices[0])
            # Seeded within a step, never across a yield: the caller keeps its own random stream.
            with seeded(self.task.ranks.seed(self._step_seed(epoch, step)), self.task.device):
                recipe = self.recipe(part, labelled, Stream(), self.trainer)
                if "labelled" in recipe:  # this rank's share of the labelled images may be another one
                    recipe["labelled"]["weight"] *= len(labelled) / len(indices[1]) / share
                batch = Batch.of(gathered(recipe, self.task, self.settings))
                parts = self.trainer.step(batch, partial(self.task.ranks.average, share=share))
            yield {**parts, "images": len(part) if "images" in recipe else len(labelled)}

    def order(self, epoch: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yields, for each step of an epoch, the indices of its images and of its labelled images."""
        task, size = self.task, self.settings.labelled_batch
        order = np.random.default_rng(seed_of("order", **task.axes, epoch=epoch))
        images = _passes(order, task.train, self.steps_per_epoch * self.batch)
        labelled = _passes(order, task.labelled, self.steps_per_epoch * size)
        for step in range(self.steps_per_epoch):
            yield images[step * self.batch :][: self.batch], labelled[step * size :][:size]

    def step_stream(self, epoch: int, step: int) -> Stream:
        """Returns the random stream of a step, apart from PyTorch's global ones."""
        return Stream.starting(self._step_seed(epoch, step), self.task.device)

    def _step_seed(self, epoch: int, step: int) -> int:
        return seed_of("step", **self.task.axes, epoch=epoch, step=step)

    def recipe(self, indices: np.ndarray, labelled: np.ndarray, stream: Stream, trainer: Trainer) -> Recipe:
        """Returns what a step learns from.

        Args:
            indices: the step's images.
            labelled: its labelled images.
            stream: where its random numbers are drawn from.
            trainer: the trainer that takes the step.
        """
        recipe: dict[str, Any] = {"images": Picked(indices)}
        if self.label_weight:
            recipe["labelled"] = {
                "images": self._changed(labelled, stream),
                "labels": self.labels(labelled, stream),
                "total": len(self.task.labelled),
                "weight": self.label_weight,
            }
        return recipe

    def labels(self, labelled: np.ndarray, stream: Stream) -> np.ndarray:
        """Returns the labels [n] of labelled images, or captions [n, L]."""
        return self.task.store.labels[labelled]

    def _changed(self, indices: np.ndarray, stream: Stream) -> Picked:
        """Returns images together with the random numbers that they are augmented by, drawn now."""
        return Picked(indices, self.settings.drawn(len(indices), self.task.device, stream.device))

    def _known_labels(self, indices: np.ndarray) -> np.ndarray:
        """Returns the labels of images, −1 where an image is not among the labelled ones."""
        return np.where(np.isin(indices, self.task.labelled), self.task.store.labels[indices], -1)

    def log_probabilities(self, images: Tensor) -> Tensor:
        """Returns log p(y | X) [b, C], averaged over the settings' number of codes."""
        return self.average(images, self.settings.draws)

    def average(self, images: Tensor, draws: int) -> Tensor:
        """Returns log p(y | X) [b, C], averaged over `draws` codes; every call draws the same codes."""
        self.model.eval()
        with self._stream("predict"):
            return class_log_probabilities(self.model, images, draws)

    @torch.no_grad()
    def bound(self, images: Tensor) -> Mapping[str, Tensor]:
        """Returns the terms of the lower bound, eq (5), from one draw; every call draws the same."""
        self.model.eval()
        with self._stream("bound"):
            bound = self.model.bound(images)
        return {"elbo": bound.elbo, "kl_code": bound.kl_code, "kl_switches": bound.kl_switches}

    def finish(self) -> None:
        """Fits the label model to the codes of the trained encoder, where ξ = 0 left the labels out of training."""
        if not self.label_weight:
            store, indices = self.task.store, self.task.labelled
            labels = torch.from_numpy(store.labels[indices]).to(self.task.device)

            def images() -> Iterator[Tensor]:
                return (store.batch(part, self.task.device) for part in batches(store, indices, ENCODED))

            with self._stream("labels"):
                fit_label_model(self.model, images, labels)

    def reconstruct(self, images: Tensor) -> Tensor | None:
        """Returns reconstructions [b, N_c, H, W] from the mean code and the expected switches."""
        self.model.eval()
        return self.model.reconstruct(images)

    def pictures(self, images: Tensor) -> Mapping[str, Tensor]:
        """Returns the images above their reconstructions, and samples from the prior."""
        self.model.eval()
        with self._stream("pictures"):
            pairs = torch.cat([images, self.model.reconstruct(images)])
            return {
                "reconstructions": tile(pairs, columns=len(images)),
                "samples": tile(self.model.sample(3 * len(images)), columns=len(images)),
            }

    def state(self) -> dict[str, Any]:
        """Returns weights, optimiser and schedule."""
        return self.trainer.state()

    def restore(self, state: Mapping[str, Any]) -> None:
        """Continues from what `state` returned."""
        self.trainer.restore(state)


def tile(images: Tensor, columns: int, gap: int = 2) -> Tensor:
    """Returns images [n, N_c, H, W] in rows of `columns`, `gap` white pixels apart: [height, width, N_c] in [0, 1]."""
    rows = math.ceil(len(images) / columns)
    _, channels, height, width = images.shape
    sheet = images.new_ones(channels, rows * (height + gap) - gap, columns * (width + gap) - gap)
    for index, image in enumerate(images.clamp(0, 1)):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        sheet[:, top : top + height, left : left + width] = image
    return sheet.permute(1, 2, 0).cpu()
