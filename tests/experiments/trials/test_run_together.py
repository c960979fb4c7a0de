"""Stacks of trials: the results that each would have alone, whatever happens to the others."""

import itertools
import math
from pathlib import Path

import pytest
import torch

from experiments.learning.variational import VariationalLearner
from experiments.settings.config import load
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout
from experiments.trials import run as trial_module
from experiments.trials import run_together as stacked
from experiments.trials.grid import trials
from experiments.trials.run import epochs, run_trial
from experiments.trials.run_together import grouped, rounds
from tests.experiments.learning.test_variational import SHIPPED

CLOSE = {"loss": 1e-4, "validation_elbo": 1e-3, "validation_accuracy": 1.0}  # single precision, after some steps


class Few:
    """So few images that a trial takes moments."""

    def __init__(self, splits):
        self.splits = splits
        self.train, self.validation, self.test = (
            getattr(splits, part)[:24] for part in ("train", "validation", "test")
        )

    def labelled(self, seed, proportion):
        return self.splits.labelled(seed, proportion)[: round(100 * proportion)]


@pytest.fixture
def stack(world, cpu, monkeypatch):
    """The trials of one small system at two proportions and two repetitions, and a way to run some as a stack."""
    real = trial_module.data_of

    def few(*arguments):
        images, splits = real(*arguments)
        return images, Few(splits)

    monkeypatch.setattr(trial_module, "data_of", few)
    monkeypatch.setattr(VariationalLearner, "averages", (1,))
    sections = {name: SHIPPED[name] for name in ("vae", "supervised")}
    small = {
        "updates": 1,
        "epochs": 2,
        "batch": 8,
        "labelled_batch": 4,
        "code_hidden": 2,
        "switch_hidden": 2,
        "draws": 1,
    }
    sections["vae"] = {**sections["vae"], **small}

    class Stacked:
        layout, store = Layout(), TrialStore(Path("stacked"))

        def params(self, system="softmax", **changes):
            profile = {"systems": [system], "proportions": [0.1, 0.2], "repetitions": 2, **changes.pop("profile", {})}
            own = {"systems": {system: SHIPPED["systems"][system] or {}}}
            world.params(default=profile, **{**sections, "vae": {**sections["vae"], **changes}, **own})
            self.trials = trials(load(Path("params.yaml")), self.layout)
            return self

        def rounds(self, chosen=None, store=None):
            return rounds(chosen or self.trials, self.layout, store or self.store, cpu)

        def alone(self, trial, store=None):
            folder = (store or TrialStore(Path("alone"))).folder(trial.identity)
            return epochs(trial, self.layout, folder, cpu), folder

        def assert_as_alone(self, trial):
            rows, folder = self.alone(trial)
            list(rows)
            found = self.store.folder(trial.identity)
            assert found.status == "done"
            for ours, own in zip(found.rows(), folder.rows(), strict=True):
                assert ours.keys() == own.keys()
                for name, tolerance in CLOSE.items():
                    assert ours[name] == pytest.approx(own[name], rel=tolerance), name
            ours, own = found.result(), folder.result()
            assert ours.keys() - own.keys() == {"stacked"}
            assert ours["elbo"] == pytest.approx(own["elbo"], rel=1e-3)
            weights = [torch.load(each.path / "weights.pt", weights_only=True) for each in (found, folder)]
            for name, values in weights[1].items():
                torch.testing.assert_close(weights[0][name], values, rtol=1e-3, atol=1e-4)
            assert sorted(found.pictures()) == sorted(folder.pictures())

    return Stacked()


def ends(found):
    return {name: reason for each in found for name, reason in each.ended.items()}


def test_a_stack_gives_each_trial_the_result_it_would_have_alone(stack):
    stack.params("tbsvm", profile={"repetitions": 1, "xi": ["auto"], "xi_study": None}, marginalised_batch=4)
    found = list(stack.rounds())
    assert ends(found) == {trial.identity: None for trial in stack.trials}
    for trial in stack.trials:
        assert stack.store.folder(trial.identity).result()["stacked"] == 2
        stack.assert_as_alone(trial)
    assert list(stack.rounds()) == [stacked.Round(ended={trial.identity: None for trial in stack.trials})]


def test_a_member_that_fails_is_noted_and_the_others_go_on(stack, monkeypatch):
    stack.params(profile={"repetitions": 1})
    broken, sound = stack.trials
    recipe = VariationalLearner.recipe

    def spoilt(learner, *arguments):
        made = recipe(learner, *arguments)
        if learner.task.proportion == broken.proportion:
            made["labelled"]["weight"] = math.nan
        return made

    monkeypatch.setattr(VariationalLearner, "recipe", spoilt)
    found = ends(stack.rounds())
    assert found[sound.identity] is None
    assert "the loss is not finite (nan) in epoch 0, step 0" in found[broken.identity]
    assert stack.store.folder(broken.identity).status == "failed"
    stack.assert_as_alone(sound)


def test_where_the_common_program_fails_each_goes_on_by_itself(stack, monkeypatch):
    stack.params(profile={"repetitions": 1})
    together, calls = stacked._of_each, itertools.count()

    def failing(steps, count):
        found = together(steps, count)
        if next(calls) == 1:
            raise RuntimeError("out of memory")
        return found

    monkeypatch.setattr(stacked, "_of_each", failing)
    found = list(stack.rounds())
    assert [each.note for each in found if each.note] == [
        "2 stacked trials go on by themselves: RuntimeError: out of memory"
    ]
    for trial in stack.trials:
        stack.assert_as_alone(trial)


def test_trials_go_in_and_out_of_a_stack(stack):
    """One was begun alone and is an epoch ahead; the stack is stopped, and one of it is finished alone."""
    stack.params(profile={"repetitions": 1}, epochs=3)
    ahead, behind = stack.trials
    rows, _ = stack.alone(ahead, stack.store)
    next(rows)
    rows.close()
    running = stack.rounds()
    seen = [set(each.rows) for each in itertools.islice(running, 2)]
    assert seen == [{behind.identity}, {ahead.identity, behind.identity}]
    running.close()
    assert {stack.store.folder(trial.identity).status for trial in stack.trials} == {"missing"}
    rows, _ = stack.alone(behind, stack.store)
    list(rows)
    list(stack.rounds([ahead]))
    assert "stacked" not in stack.store.folder(behind.identity).result()
    for trial in stack.trials:
        found = stack.store.folder(trial.identity)
        assert [row["epoch"] for row in found.rows()] == [0, 1, 2]
        rows, folder = stack.alone(trial)
        list(rows)
        assert found.result()["elbo"] == pytest.approx(folder.result()["elbo"], rel=1e-3)


def test_what_is_stacked_with_what(stack):
    stack.params(profile={"xi": ["auto", 10, 0], "repetitions": 3})
    groups = grouped(stack.trials, 8, stack.store)
    assert sorted(map(len, groups)) == [1] * 6 + [6, 6]  # twelve with labels; ξ = 0 is another program
    assert all(group[0].xi == 0 for group in groups if len(group) == 1)
    assert sorted(t.identity for group in groups for t in group) == sorted(t.identity for t in stack.trials)
    assert all(len(group) == 1 for group in grouped(stack.trials, 1, stack.store))
    failed = next(trial for trial in stack.trials if trial.xi == "auto")
    stack.store.folder(failed.identity).path.mkdir(parents=True)
    stack.store.folder(failed.identity).fail("its process died")
    assert [failed] in grouped(stack.trials, 8, stack.store)


def test_what_cannot_be_stacked_is_run_alone(stack):
    stack.params(estimator="nvil")
    assert [len(group) for group in grouped(stack.trials, 8, stack.store)] == [1] * 4


def test_the_toys_are_run_one_by_one(world, cpu):
    """A system that says nothing of stacks is not stacked, and `rounds` of one is the trial."""
    (only,) = trials(load(Path("params.yaml")), Layout())
    store = TrialStore(Path("one"))
    assert grouped([only], 8, store) == [[only]]
    found = list(rounds([only], Layout(), store, cpu))
    expected = []
    run_trial(only, Layout(), TrialStore(Path("two")).folder(only.identity), cpu, expected.append)
    rows = [row for each in found for row in each.rows.values()]
    assert [row["loss"] for row in rows] == [row["loss"] for row in expected]


@pytest.mark.slow
def test_a_sweep_stacks_its_trials(tracked, cpu):
    """Three trials are one task of Tune's; one fails on the way."""
    tracked.params(
        default={"systems": ["toy-stacked"], "repetitions": 3}, compute={"workers": 1, "stack": 8}, toys={"epochs": 3}
    )
    out, err = tracked.run("run")
    assert "2 done, 1 failed" in out
    assert "up to 8 trained as one" in err
    for trial in trials(load(Path("params.yaml")), Layout()):
        folder = TrialStore(tracked.store).folder(trial.identity)
        assert folder.status == ("failed" if trial.seed == 0 else "done")
        if trial.seed == 0:
            assert "not finite (nan) in epoch 1" in folder.failure()["reason"]
            continue
        assert folder.result()["stacked"] == 3
        alone = TrialStore(Path("alone")).folder(trial.identity)
        run_trial(trial, Layout(), alone, cpu, lambda row: None)
        assert [row["loss"] for row in folder.rows()] == [row["loss"] for row in alone.rows()]
        assert folder.result()["top1"] == alone.result()["top1"]
