"""What a study is: cells that are measured one by one, and the tables that their rows go into."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from data.registry import Registry
from experiments.settings.config import Config
from experiments.trial_store.layout import Layout
from experiments.trials.grid import Trial
from experiments.trials.identity import digest

Row = dict[str, Any]  # of a table, by column


@dataclass(frozen=True)
class Effort:
    """How much work a study puts in: the options of the command."""

    seconds: float  # of each training that has equal time
    repetitions: int  # of each training
    gradients: int  # independent ones for each mean and variance


@dataclass(frozen=True)
class Cell:
    """One measurement, made in one worker process."""

    study: str
    version: int  # of the study
    table: str  # which its rows go to
    trial: Trial  # the task and the settings that the measurement starts from
    asks: Mapping[str, Any]  # what it measures beyond that, as plain values
    expected: float  # seconds, roughly

    @property
    def identity(self) -> str:
        """Hash of everything that the rows depend on; the trial's own covers settings, images and split."""
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


@dataclass(frozen=True)
class Study:
    """A study, which a file of this folder adds to STUDIES under the name that the command takes.

    `cells` returns what is to be measured, in the order of the tables' rows; it raises UserError where that is
    impossible. `measure` returns a cell's rows, with exactly the columns of its table.
    """

    tables: Mapping[str, tuple[str, ...]]  # columns by the name of the CSV file
    cells: Callable[[Config, Layout, Effort], list[Cell]]
    measure: Callable[[Cell, Layout, torch.device], list[Row]]


STUDIES: Registry[Study] = Registry("experiments.studies", "study")
