"""How good the gradient estimators of the pooling switches are: as gradients, and in equal training time.

The switches say which position of a pooling block the decoder fills. The model is that of system `bsvm` with the
settings of params.yaml, at a tenth of the labels.

estimators-gradient.csv has a row for each reading of q(s, z | X), each estimator that serves it and each stage. A stage
is the number of epochs for which the model was trained first: by the settings' estimator where that serves the reading,
and otherwise by the paper's, NVIL. Lengths are in units of the reference gradient's length. The reference is the
mean over many draws of `exact` (factorised reading) or of `rloo` (shared reading, where nothing has a closed form).

- `bias` is the distance of the estimator's mean gradient from the reference.
- `bias_se` is the root mean square that noise alone would give that distance. A bias below about twice `bias_se`
  cannot be told from noise.
- `variance` is that of one training step's gradient, the trace of its covariance. NVIL's bias and variance are those of
  its gradient before the division by max(1, running σ); its baselines are trained on the model as it is.
- `draws` are passes through the decoder per image and step.
- `ms_per_step` is the time of a whole training step.

estimators-training.csv has a row for each reading, estimator and repetition: the model is trained for equal time, with
the learning rate lowered to zero over the steps that fit into it, and then measured on the validation images.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import torch

from data.errors import UserError
from data.labelled.splits import Splits
from experiments.learning.device import now
from experiments.learning.variational import VariationalLearner, VariationalSettings
from experiments.settings.config import Config
from experiments.studies.contract import STUDIES, Cell, Effort, Row, Study
from experiments.studies.switch_gradients import learn_baselines, sample_gradients, step_milliseconds, undo_division
from experiments.trial_store.layout import Layout
from experiments.trials.grid import Trial, make_trial
from experiments.trials.label_evaluation import evaluate
from experiments.trials.run import prepare
from vae.estimators.contract import estimator_named, estimator_names
from vae.model import READINGS

NAME = "estimators"
VERSION = 2  # raised whenever what is measured would change; part of a cell's identity
SYSTEM, PROPORTION = "bsvm", 0.1
STAGES = (0, 2)  # epochs before gradients are measured
REFERENCE = {"factorised": "exact", "shared": "rloo"}
FALLBACK = "nvil"  # trains the model where the settings' estimator does not serve the reading
REFERENCE_SHARE = 2  # the reference's mean has so many gradients for each one in an estimator's
TIMED_STEPS = 25  # from which the time of a step is taken
PROBE_SHARE = 0.05  # share of the training time that goes into finding how many steps fit
SECONDS_PER_GRADIENT, SECONDS_BESIDE = 0.4, 15.0  # what a cell takes, roughly
GRADIENT, TRAINING = "estimators-gradient", "estimators-training"


def serving(reading: str) -> list[str]:
    """Returns the names of the estimators that serve the reading."""
    return [name for name in estimator_names() if reading in estimator_named(name).readings]


def learner_of(trial: Trial, layout: Layout, device: torch.device, estimator: str, reading: str) -> VariationalLearner:
    """Returns the trial's learner with another estimator and reading."""
    settings = trial.settings.model_copy(update={"estimator": estimator, "reading": reading})
    _, learner = prepare(replace(trial, settings=settings), layout, device)
    assert isinstance(learner, VariationalLearner)
    return learner


def _steps(learner: VariationalLearner) -> Iterator[Mapping[str, Any]]:
    return itertools.chain.from_iterable(learner.epoch(epoch) for epoch in itertools.count())


def steps_that_fit(learner: VariationalLearner, seconds: float) -> int:
    """Returns how many training steps take about `seconds`, found by taking some."""
    device, taken, probe = learner.task.device, 0, _steps(learner)
    for _ in islice(probe, 3):  # the first ones allocate memory
        pass
    started = now(device)
    while now(device) - started < PROBE_SHARE * seconds or taken < 3:
        next(probe)
        taken += 1
    return max(1, round(seconds * taken / (now(device) - started)))


def cells(config: Config, layout: Layout, effort: Effort) -> list[Cell]:
    """Returns the cells. A cell of gradients has all estimators of a reading, so that their steps are timed in turn.

    UserError where params.yaml has no settings of the system, or the splits have too few repetitions.
    """
    if SYSTEM not in config.settings:
        raise UserError(f"{config.origin} has no settings for {SYSTEM!r}: add it under systems")
    splits = Splits.open(layout.splits(config.dataset))
    if splits.repetitions < effort.repetitions:
        raise UserError(
            f"--repetitions {effort.repetitions}: {splits.folder} has {splits.repetitions}: run "
            f"`python -m data split {config.dataset} --repetitions {effort.repetitions}`"
        )
    trials = [make_trial(config, layout, (SYSTEM, PROPORTION, "auto", seed)) for seed in range(effort.repetitions)]
    made: list[Cell] = []
    for reading, stage in itertools.product(READINGS, STAGES):
        asks: dict[str, Any] = {"reading": reading, "stage": stage, "gradients": effort.gradients}
        expected = SECONDS_BESIDE + SECONDS_PER_GRADIENT * effort.gradients
        made.append(Cell(NAME, VERSION, GRADIENT, trials[0], asks, expected))
    for reading in READINGS:
        for estimator, trial in itertools.product(serving(reading), trials):
            asks = {"estimator": estimator, "reading": reading, "seed": trial.seed, "seconds": effort.seconds}
            expected = SECONDS_BESIDE / 5 + effort.seconds
            made.append(Cell(NAME, VERSION, TRAINING, trial, asks, expected))
    return made


def measure(cell: Cell, layout: Layout, device: torch.device) -> list[Row]:
    """Returns the rows of one reading and stage, or of one training."""
    if cell.table == GRADIENT:
        return _gradient_rows(cell.trial, layout, device, **cell.asks)
    return [_training_row(cell.trial, layout, device, **cell.asks)]


def _gradient_rows(
    trial: Trial, layout: Layout, device: torch.device, *, reading: str, stage: int, gradients: int
) -> list[Row]:
    learners = {name: learner_of(trial, layout, device, name, reading) for name in serving(reading)}
    milliseconds = step_milliseconds(learners, TIMED_STEPS)
    assert isinstance(trial.settings, VariationalSettings)
    own = trial.settings.estimator
    trained = learner_of(trial, layout, device, own if own in learners else FALLBACK, reading)
    for _ in islice(_steps(trained), stage * trained.steps_per_epoch):
        pass
    weights = {name: value for name, value in trained.model.state_dict().items() if not name.startswith("estimator.")}
    for learner in learners.values():
        learner.model.load_state_dict(weights, strict=False)  # the estimator's own weights stay
        learn_baselines(learner)
        undo_division(learner)
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
    scores = evaluate(learner, learner.task.store, learner.task.validation, device)
    return {
        "estimator": estimator,
        "reading": reading,
        "seed": seed,
        "seconds": taken,
        "steps": steps,
        **{name: scores[name] for name in ("elbo", "kl_switches", "kl_code", "top1")},
    }


STUDIES.add(
    NAME,
    Study(
        tables={
            GRADIENT: ("estimator", "reading", "stage", "draws", "bias", "bias_se", "variance", "ms_per_step"),
            TRAINING: ("estimator", "reading", "seed", "seconds", "steps", "elbo", "kl_switches", "kl_code", "top1"),
        },
        cells=cells,
        measure=measure,
    ),
)
