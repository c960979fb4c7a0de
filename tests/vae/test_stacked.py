"""Models stacked into one program against the same models trained alone: the same draws, the same numbers."""

import copy

import pytest
import torch

from tests.vae.conftest import ONE_POOLING, TWO_POOLINGS, build
from vae.class_conditional import ClassConditional
from vae.model import Batch, VariationalAutoencoder
from vae.noise import drawn_from, exponential_like, normal_like, uniform_like
from vae.stacked import StackedTrainer
from vae.training import Trainer, shorten

TRIALS, STEPS = 3, 5
OPTIONS = {
    "total_steps": 20,
    "learning_rate": 0.01,
    "noise_learning_rate": 0.03,
    "warmup": 0.2,
    "switch_warmup": 0.5,
    "weight_decay": 0.1,
    "clip": 0.1,
}
# By single precision's rounding, grown over the steps; double precision tells it from any other difference.
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-10}


def trainers(
    dtype=torch.float64, architecture=ONE_POOLING, estimator="exact", reading="factorised", kind=VariationalAutoencoder
):
    """Returns a trainer per trial, each with its own initial weights."""
    found = []
    for trial in range(TRIALS):
        model = build(architecture, estimator, reading, kind=kind).to(dtype)
        torch.manual_seed(trial)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter += 0.1 * torch.randn(parameter.shape).to(dtype)
        model.standardisation.measure(torch.rand(9, 1, architecture.side, architecture.side).to(dtype))
        found.append(Trainer(model, **OPTIONS))
    return found


def parts_of(trial, step, dtype, architecture, with_labels=False):
    """Returns what a trial learns from in a step, for `Batch.of`, with weights and totals of its own."""
    generator = torch.Generator().manual_seed(100 * trial + step)
    side = architecture.side

    def images(count):
        return torch.rand(count, 1, side, side, generator=generator, dtype=dtype)

    def labels(count, lowest):
        return torch.randint(lowest, 3, (count,), generator=generator)

    parts = {
        "images": images(6),
        "labelled": {"images": images(4), "labels": labels(4, 0), "total": 5 + trial, "weight": 3.0 + trial},
        "marginalised": {"images": images(3), "views": images(3), "labels": labels(3, -1), "weight": 0.5 + trial},
    }
    return parts | {"labels": labels(6, -1)} if with_labels else parts


def stacked_parts(parts, dtype):
    first = parts[0]
    if isinstance(first, dict):
        return {name: stacked_parts([part[name] for part in parts], dtype) for name in first}
    if isinstance(first, torch.Tensor):
        return torch.stack(parts)
    return torch.tensor(parts, dtype=dtype)


def seed_of(trial, step):
    return 1000 * trial + step


def train_alone(trainers, steps, parts):
    found = []
    for step in steps:
        row = []
        for trial, trainer in enumerate(trainers):
            torch.manual_seed(seed_of(trial, step))
            row.append(trainer.step(Batch.of(parts(trial, step))))
        found.append(row)
    return found


def train_stacked(stack, steps, parts, dtype):
    found = []
    for step in steps:
        streams = [torch.Generator().manual_seed(seed_of(trial, step)) for trial in range(TRIALS)]
        found.append(
            stack.step_together(stacked_parts([parts(trial, step) for trial in range(TRIALS)], dtype), streams)
        )
    return found


def assert_same(alone, states, tolerance):
    for trainer, state in zip(alone, states, strict=True):
        own = trainer.state()
        assert own["schedule"] == state["schedule"]
        for name, value in own["model"].items():
            torch.testing.assert_close(state["model"][name], value, rtol=tolerance, atol=tolerance)
        for index, moments in own["optimizer"]["state"].items():
            torch.testing.assert_close(state["optimizer"]["state"][index], moments, rtol=tolerance, atol=tolerance)
        assert own["optimizer"]["param_groups"] == state["optimizer"]["param_groups"]


@pytest.mark.parametrize(
    ("dtype", "architecture", "estimator", "reading", "kind"),
    [
        (torch.float32, ONE_POOLING, "exact", "factorised", VariationalAutoencoder),
        (torch.float64, ONE_POOLING, "exact", "factorised", VariationalAutoencoder),
        (torch.float64, ONE_POOLING, "exact", "factorised", ClassConditional),
        (torch.float64, TWO_POOLINGS, "exact", "factorised", VariationalAutoencoder),
        (torch.float64, TWO_POOLINGS, "rloo", "shared", VariationalAutoencoder),
        (torch.float64, TWO_POOLINGS, "gumbel", "factorised", VariationalAutoencoder),
    ],
)
def test_stacked_trials_have_the_numbers_they_would_have_alone(dtype, architecture, estimator, reading, kind):
    alone = trainers(dtype, architecture, estimator, reading, kind)
    stack = StackedTrainer(trainers(dtype, architecture, estimator, reading, kind))

    def parts(trial, step):
        return parts_of(trial, step, dtype, architecture, with_labels=kind is ClassConditional)

    expected = train_alone(alone, range(STEPS), parts)
    found = train_stacked(stack, range(STEPS), parts, dtype)
    assert_same(alone, stack.states(), TOLERANCE[dtype])
    for rows, together in zip(expected, found, strict=True):
        for name, values in together.items():
            one_by_one = torch.stack([row[name] for row in rows])
            torch.testing.assert_close(values, one_by_one, rtol=TOLERANCE[dtype], atol=TOLERANCE[dtype])


def test_a_trial_goes_in_and_out_of_a_stack_with_its_state():
    """Two steps alone, two stacked and one alone again give the numbers of five steps alone."""

    def parts(trial, step):
        return parts_of(trial, step, torch.float64, ONE_POOLING)

    alone, changing = trainers(), trainers()
    train_alone(alone, range(5), parts)
    train_alone(changing, range(2), parts)
    stack = StackedTrainer(changing)
    before = [trainer.state() for trainer in changing]
    train_stacked(stack, range(2, 4), parts, torch.float64)
    assert_same(changing, before, 0.0)  # the trainers are the stack's business no more
    for trainer, state in zip(changing, stack.states(), strict=True):
        trainer.restore(state)
    train_alone(changing, range(4, 5), parts)
    assert_same(alone, [trainer.state() for trainer in changing], 1e-10)


def test_long_gradients_are_shortened_trial_by_trial():
    """Each trial's whole gradient has the greatest length that is allowed, or its own where that is less."""
    torch.manual_seed(0)
    gradients = [torch.randn(3, 4, 2), torch.randn(3), torch.randn(3, 5)]
    gradients = [each * torch.tensor([1e-2, 1.0, 1e3]).view(-1, *(1,) * (each.ndim - 1)) for each in gradients]
    whole = [torch.cat([each[trial].flatten() for each in gradients]) for trial in range(3)]
    shorten(gradients, 0.5)
    for trial, before in enumerate(whole):
        after = torch.cat([each[trial].flatten() for each in gradients])
        torch.testing.assert_close(after, before * min(1.0, 0.5 / float(before.norm())))


def test_a_trial_that_comes_to_nothing_leaves_the_others_as_they_are():
    def parts(trial, step):
        made = parts_of(trial, step, torch.float64, ONE_POOLING)
        if trial == 1 and step == 1:
            made["images"][0, 0, 0, 0] = torch.nan
        return made

    alone, stack = trainers(), StackedTrainer(trainers())
    train_alone(alone, range(4), parts)
    losses = [row["loss"].isfinite().tolist() for row in train_stacked(stack, range(4), parts, torch.float64)]
    assert losses == [[True] * 3, [True, False, True], [True, False, True], [True, False, True]]
    states = stack.states()
    assert_same([alone[0], alone[2]], [states[0], states[2]], 1e-10)


@pytest.mark.parametrize("draw", [normal_like, uniform_like, exponential_like])
@pytest.mark.parametrize("size", [3, 50])
def test_each_trial_draws_from_its_own_stream_what_it_would_draw_alone(draw, size):
    expected = []
    for seed in range(TRIALS):
        torch.manual_seed(seed)
        expected.append(torch.stack([draw(torch.empty(size, 2)), draw(torch.empty(size, 2))]))
    streams = [torch.Generator().manual_seed(seed) for seed in range(TRIALS)]
    torch.manual_seed(9)
    untouched = torch.random.get_rng_state()
    with drawn_from(streams):
        found = torch.vmap(lambda like: torch.stack([draw(like), draw(like)]))(torch.empty(TRIALS, size, 2))
    assert torch.equal(found, torch.stack(expected))
    assert torch.equal(torch.random.get_rng_state(), untouched)


def test_draws_alone_are_those_of_pytorch():
    for ours, theirs in ((normal_like, torch.randn_like), (uniform_like, torch.rand_like)):
        like = torch.empty(30, 2, requires_grad=True)
        torch.manual_seed(3)
        drawn = ours(like)
        torch.manual_seed(3)
        assert torch.equal(drawn, theirs(like))
        assert not drawn.requires_grad


def test_only_trainers_that_are_alike_and_equally_far_are_stacked():
    first, second, _ = trainers()
    other = Trainer(copy.deepcopy(second.model), **OPTIONS | {"learning_rate": 0.02})
    with pytest.raises(ValueError, match="different settings"):
        StackedTrainer([first, other])
    train_alone([first], range(1), lambda trial, step: parts_of(trial, step, torch.float64, ONE_POOLING))
    with pytest.raises(ValueError, match="different steps"):
        StackedTrainer([first, second])
    with pytest.raises(ValueError, match="statistics"):
        StackedTrainer(trainers(estimator="nvil"))


def test_all_trials_in_one_go_as_on_a_gpu(monkeypatch):
    """Other devices than the CPU get no parts that fit a cache."""

    def parts(trial, step):
        return parts_of(trial, step, torch.float64, ONE_POOLING)

    alone, stack = trainers(), StackedTrainer(trainers())
    train_alone(alone, range(STEPS), parts)
    for module in ("vae.pooling", "vae.decoder"):
        monkeypatch.setattr(f"{module}.slices", lambda blocks: [(slice(None), slice(None))])
    train_stacked(stack, range(STEPS), parts, torch.float64)
    assert_same(alone, stack.states(), 1e-10)
