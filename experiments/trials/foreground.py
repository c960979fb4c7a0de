"""One trial in this process: to look at what happens, and for machines that have PyTorch but no Ray."""

from __future__ import annotations

import math

from data.errors import UserError
from experiments.compute.resources import of_this_machine
from experiments.learning import contract
from experiments.learning.device import set_up
from experiments.provenance import unknown_revision
from experiments.settings.config import Config
from experiments.trial_store.layout import Layout
from experiments.trial_store.log import HIDDEN
from experiments.trials.caption_scores import SCORES
from experiments.trials.grid import Trial, make_trial, trials
from experiments.trials.run import run_trial
from experiments.trials.training import Row, TrialFailed

# Entries of a result that are printed, where it has them.
PRINTED = (
    "top1", "top5", *SCORES, "perplexity", "elbo", "kl_switches", "epochs", "updates", "seconds",
    "images_per_second",
)  # fmt: skip


def by_identity(config: Config, layout: Layout, start: str) -> Trial:
    """Returns the trial of the active profile whose identity starts with `start`. UserError unless exactly one does."""
    matching = [trial for trial in trials(config, layout) if trial.identity.startswith(start)]
    if len(matching) != 1:
        number = f"{len(matching)} trials" if matching else "no trial"
        raise UserError(f"--id {start!r}: {number} of profile {config.params.profile!r} start so")
    return matching[0]


def by_cell(
    config: Config, layout: Layout, system: str | None, proportion: float | None, xi: str | None, seed: int
) -> Trial:
    """Returns the trial at these axes, whether the profile has it or not.

    ξ is auto where the system uses it and `xi` is None. UserError where an axis is missing or impossible.
    """
    if system is None or proportion is None:
        raise UserError("name a trial by --system and --proportion (and --xi, --seed), or by --id")
    uses_xi = contract.SYSTEMS.get(system).uses_xi
    if system not in config.settings:
        raise UserError(
            f"--system {system}: {config.origin} has no settings for it: known are {', '.join(config.settings)}"
        )
    if not 0 < proportion <= 1:
        raise UserError(f"--proportion {proportion:g}: must be above 0 and at most 1")
    if xi is not None and not uses_xi:
        raise UserError(f"--xi {xi}: system {system!r} does not use ξ")
    return make_trial(config, layout, (system, proportion, _xi(xi) if uses_xi else None, seed))


def _xi(text: str | None) -> float | str:
    if text is None or text == "auto":
        return "auto"
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value >= 0):
        raise UserError(f"--xi {text}: must be auto or a number, 0 or more")
    return value


def run_in_foreground(config: Config, layout: Layout, trial: Trial) -> None:
    """Runs the trial and prints each epoch and then its result. UserError with the reason where the trial fails."""
    if trial.devices > 1:
        raise UserError(
            f"trial {trial.identity} is one of {trial.devices} devices, this command has one: use `python -m "
            "experiments run`, or set compute.devices_per_trial to null for the trial that one device runs"
        )
    resources = of_this_machine(config.params.compute)
    device = set_up(resources.cpus, resources.gpus > 0)
    folder = layout.trial_store.folder(trial.identity)
    print(f"{trial.identity}: {trial} on {device}, {trial.labelled} labelled images, in {folder.path}")
    if folder.result() is not None:
        print("done before; delete its folder to run it again")
    elif fault := folder.result_fault():
        print(f"{fault}: this file is kept under another name, and the trial is run again")
    elif unknown := unknown_revision():
        print(unknown)
    try:
        result = run_trial(trial, layout, folder, device, _print_epoch)
    except TrialFailed as error:
        raise UserError(f"trial {trial.identity} failed: {error}") from None
    for name in PRINTED:
        if result.get(name) is not None:
            print(f"{name:>18} {result[name]:.6g}")


def _print_epoch(row: Row) -> None:
    values = "  ".join(f"{name} {value:.5g}" for name, value in row.items() if name not in HIDDEN)
    print(f"epoch {row['epoch']:3}  {values}", flush=True)
