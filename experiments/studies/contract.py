"""What a study is: cells that are measured one by one, and the tables that their rows make."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch

from data.registry import Registry
from experiments.settings.config import Config
from experiments.trial_store.layout import Layout
from experiments.trials.grid import Trial
from experiments.trials.identity import digest

Row = dict[str, Any]


@dataclass(frozen=True)
class Effort:
    """How much work a study may put in: `seconds` of each training that has equal time, `repetitions` of each, and
    `gradients`, independent ones, for each mean and variance."""

    seconds: float
    repetitions: int
    gradients: int


@dataclass(frozen=True)
class Cell:
    """One measurement, made in one worker: its rows go to `table`.

    `trial` has the task and the settings that it starts from, `asks` what it is beyond that, as plain values;
    `expected` is about how many seconds it takes.
    """

    study: str
    version: int
    table: str
    trial: Trial
    asks: Mapping[str, Any]
    expected: float

    @property
    def identity(self) -> str:
        """The hash of all that its rows depend on: the trial's own covers settings, images and split."""
        return digest(
            {
                "study": self.study,
                "version": self.version,
                "table": self.table,
                "trial": self.trial.identity,
                "asks": dict(self.asks),
            }
        )

    def __str__(self) -> str:
        return f"{self.table} " + " ".join(f"{name}={value}" for name, value in self.asks.items())


class Study(ABC):
    """Subclass it in a file of this folder; `name` is what the command says."""

    name: ClassVar[str]
    version: ClassVar[int]  # raised whenever what it measures would change; part of a cell's identity
    tables: ClassVar[Mapping[str, tuple[str, ...]]]  # columns by the name of the CSV

    @abstractmethod
    def cells(self, config: Config, layout: Layout, effort: Effort) -> list[Cell]:
        """What is to be measured, in the order of the tables' rows. UserError where it cannot be."""

    @abstractmethod
    def measure(self, cell: Cell, layout: Layout, device: torch.device) -> list[Row]:
        """The cell's rows, with exactly its table's columns."""


STUDIES: Registry[Study] = Registry("experiments.studies", "study")


def register(study: type[Study]) -> type[Study]:
    """Class decorator that makes a study known by its name; a name taken twice is a ValueError."""
    STUDIES.add(study.name, study())
    return study
