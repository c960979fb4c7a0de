"""What the gradient estimators of the pooling switches are worth: as gradients, and in equal training time.

The model is that of system `bsvm` with the settings of params.yaml, at a tenth of the labels.

estimators-gradient.csv has a row for each estimator, reading that it serves and stage, the epochs for which the model
was trained first, by the settings' estimator where it serves the reading and by the paper's elsewhere. Lengths
are in units of the reference gradient's, which is the mean over many draws of `exact` (factorised) or, since nothing
has a closed form there, of `rloo` (shared). `bias` is the distance of the estimator's mean gradient from it, `bias_se`
the root mean square that noise alone would give that distance: below about twice that, nothing can be told from
noise. `variance` is that of one training step's gradient, the trace of its covariance. NVIL's bias and variance
are those of its gradient before the division by max(1, running σ), and its baselines are trained on the model as it is.
`draws` are passes through the decoder per image and step, `ms_per_step` is the time of a whole step.

estimators-training.csv has a row for each estimator, reading and seed: trained for equal time, the learning rate
lowered to zero over the steps that fit into it, then measured on the validation images.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any, ClassVar

import torch

from data.errors import UserError
from data.labelled.splits import Splits
from experiments.learning import contract
from experiments.learning.device import now
from experiments.learning.variational import VariationalLearner
from experiments.settings.config import Config
from experiments.studies.contract import Cell, Effort, Row, Study, register
from experiments.studies.switch_gradients import learn_baselines, sample_gradients, step_milliseconds, undo_scale
from experiments.trial_store.layout import Layout
from experiments.trials.grid import Trial, make_trial
from experiments.trials.label_evaluation import evaluate
from experiments.trials.run import prepare
from vae.estimators.contract import estimator_named, estimator_names
from vae.model import READINGS

SYSTEM, PROPORTION = "bsvm", 0.1
STAGES = (0, 2)  # epochs before gradients are measured
REFERENCE = {"factorised": "exact", "shared": "rloo"}
FALLBACK = "nvil"  # trains where the settings' estimator does not serve the reading
REFERENCE_SHARE = 2  # gradients in the reference's mean for each in an estimator's
TIMED_STEPS = 25
PROBE_SHARE = 0.05  # of the training time, spent on finding out how many steps fit
SECONDS_PER_GRADIENT, SECONDS_BESIDE = 0.4, 15.0  # roughly, of a worker
GRADIENT, TRAINING = "estimators-gradient", "estimators-training"


def serving(reading: str) -> list[str]:
    """Names of the estimators that serve the reading."""
    return [name for name in estimator_names() if reading in estimator_named(name).readings]


def learner_of(trial: Trial, layout: Layout, device: torch.device, estimator: str, reading: str) -> VariationalLearner:
    """The trial's learner, with another estimator and reading."""
    changed = replace(trial, settings={**trial.settings, "estimator": estimator, "reading": reading})
    _, learner = prepare(changed, contract.SYSTEMS.get(trial.system), layout, device)
    return learner


def _steps(learner: VariationalLearner) -> Iterator[Mapping[str, Any]]:
    return itertools.chain.from_iterable(learner.epoch(epoch) for epoch in itertools.count())


def steps_that_fit(learner: VariationalLearner, seconds: float) -> int:
    """How many training steps take about so long, found by taking some."""
    device, taken, probe = learner.task.device, 0, _steps(learner)
    for _ in islice(probe, 3):  # the first ones allocate
        pass
    started = now(device)
    while now(device) - started < PROBE_SHARE * seconds or taken < 3:
        next(probe)
        taken += 1
    return max(1, round(seconds * taken / (now(device) - started)))


@register
class Estimators(Study):
    """See the file's own description."""

    name: ClassVar[str] = "estimators"
    version: ClassVar[int] = 1
    tables: ClassVar[Mapping[str, tuple[str, ...]]] = {
        GRADIENT: ("estimator", "reading", "stage", "draws", "bias", "bias_se", "variance", "ms_per_step"),
        TRAINING: ("estimator", "reading", "seed", "seconds", "steps", "elbo", "kl_switches", "kl_code", "top1"),
    }

    def cells(self, config: Config, layout: Layout, effort: Effort) -> list[Cell]:
        """A cell of gradients has all estimators of a reading, so that their steps are timed in turn."""
        if SYSTEM not in config.settings:
            raise UserError(f"{config.origin} has no settings for {SYSTEM!r}: add it under systems")
        splits = Splits.open(layout.splits(config.dataset))
        if splits.repetitions < effort.repetitions:
            raise UserError(
                f"--repetitions {effort.repetitions}: {splits.folder} has {splits.repetitions}: run "
                f"`python -m data split {config.dataset} --repetitions {effort.repetitions}`"
            )
        trials = [make_trial(config, layout, (SYSTEM, PROPORTION, "auto", seed)) for seed in range(effort.repetitions)]
        found = []
        for reading, stage in itertools.product(READINGS, STAGES):
            asks = {"reading": reading, "stage": stage, "gradients": effort.gradients}
            expected = SECONDS_BESIDE + SECONDS_PER_GRADIENT * effort.gradients
            found.append(Cell(self.name, self.version, GRADIENT, trials[0], asks, expected))
        for reading in READINGS:
            for estimator, trial in itertools.product(serving(reading), trials):
                asks = {"estimator": estimator, "reading": reading, "seed": trial.seed, "seconds": effort.seconds}
                expected = SECONDS_BESIDE / 5 + effort.seconds
                found.append(Cell(self.name, self.version, TRAINING, trial, asks, expected))
        return found

    def measure(self, cell: Cell, layout: Layout, device: torch.device) -> list[Row]:
        """Rows of one reading and stage, or of one training."""
        if cell.table == GRADIENT:
            return _gradient_rows(cell.trial, layout, device, **cell.asks)
        return [_training_row(cell.trial, layout, device, **cell.asks)]


def _gradient_rows(
    trial: Trial, layout: Layout, device: torch.device, *, reading: str, stage: int, gradients: int
) -> list[Row]:
    learners = {name: learner_of(trial, layout, device, name, reading) for name in serving(reading)}
    milliseconds = step_milliseconds(learners, TIMED_STEPS)
    own = trial.settings["estimator"]
    trained = learner_of(trial, layout, device, own if own in learners else FALLBACK, reading)
    for _ in islice(_steps(trained), stage * trained.steps_per_epoch):
        pass
    weights = {name: value for name, value in trained.model.state_dict().items() if not name.startswith("estimator.")}
    for learner in learners.values():
        learner.model.load_state_dict(weights, strict=False)  # its estimator's own stay
        learn_baselines(learner)
        undo_scale(learner)
    reference = sample_gradients(learners[REFERENCE[reading]], REFERENCE_SHARE * gradients, "reference")
    rows = []
    for name, learner in learners.items():
        bias, noise, variance = sample_gradients(learner, gradients, name).distance(reference)
        rows.append(
            {
                "estimator": name,
                "reading": reading,
                "stage": stage,
                "draws": learner.model.estimator.draws,
                "bias": bias,
                "bias_se": noise,
                "variance": variance,
                "ms_per_step": milliseconds[name],
            }
        )
    return rows


def _training_row(
    trial: Trial, layout: Layout, device: torch.device, *, estimator: str, reading: str, seed: int, seconds: float
) -> Row:
    steps = steps_that_fit(learner_of(trial, layout, device, estimator, reading), seconds)
    learner = learner_of(trial, layout, device, estimator, reading)
    learner.train_for(steps)
    started = now(device)
    for _ in islice(_steps(learner), steps):
        pass
    taken = now(device) - started
    found = evaluate(learner, learner.task.store, learner.task.validation, device)
    return {
        "estimator": estimator,
        "reading": reading,
        "seed": seed,
        "seconds": taken,
        "steps": steps,
        **{name: found[name] for name in ("elbo", "kl_switches", "kl_code", "top1")},
    }
