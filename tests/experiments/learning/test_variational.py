"""The paper's model as a learner: its digits, what it may see, and ξ."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from ruamel.yaml import YAML

from data.errors import UserError
from data.prepared.store import ImageStore
from experiments.learning.contract import SYSTEMS, Task
from experiments.learning.variational import share_of_rate, tile
from vae.architecture import TABLE2

SHIPPED = YAML(typ="safe").load(Path(__file__).parents[3] / "params.yaml")

NAMES = ["bsvm", "softmax", "tbsvm", "m2"]


def settings_of(name, **changes):
    system = SYSTEMS.get(name)
    section = {key: value for shared in system.shares for key, value in SHIPPED[shared].items()}
    section |= SHIPPED["systems"][name]
    small = {
        "updates": 1,
        "epochs": 3,
        "batch": 8,
        "labelled_batch": 4,
        "code_hidden": 4,
        "switch_hidden": 4,
        "draws": 2,
    }
    small |= {"marginalised_batch": 4} if name == "tbsvm" else {}
    return system.Settings.model_validate({**section, **small, **changes})


def store_of(side=28):
    """Bright upper halves are class 0, bright lower halves class 1."""
    rng = np.random.default_rng(0)
    labels = np.arange(48) % 2
    images = rng.integers(0, 60, (48, side, side, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[side // 2 * label : side // 2 * (label + 1)] += 150
    return ImageStore("mnist", images, labels, ("upper", "lower"), "toy")


def task_of(store=None, xi="auto", labelled=8, seed=0):
    axes = {"dataset": "mnist", "system": "bsvm", "proportion": 0.25, "repetition": seed}
    everything = np.arange(40)
    device = torch.device("cpu")
    return Task(
        store or store_of(), everything[:32], everything[:labelled], everything[32:], 0.25, xi, seed, axes, device
    )


def trained(learner, epochs):
    for epoch in epochs:
        for _ in learner.epoch(epoch):
            torch.rand(1)  # the caller's own stream must not matter
    return learner


def weights(learner):
    return torch.cat([p.detach().flatten() for p in learner.model.parameters()])


@pytest.mark.parametrize("name", NAMES)
def test_same_task_same_digits(name):
    first, second = (trained(SYSTEMS.get(name).learner(task_of(), settings_of(name)), range(2)) for _ in range(2))
    assert torch.equal(weights(first), weights(second))
    images = task_of().store.batch(np.arange(32, 40))
    assert torch.equal(first.log_probabilities(images), second.log_probabilities(images))


def test_another_repetition_starts_from_other_weights():
    first, second = (SYSTEMS.get("bsvm").learner(task_of(seed=seed), settings_of("bsvm")) for seed in (0, 1))
    assert not torch.equal(weights(first), weights(second))


@pytest.mark.parametrize(
    ("estimator", "reading"),
    [("exact", "factorised"), ("nvil", "shared"), ("rloo", "shared"), ("gumbel", "factorised")],
)
def test_restored_is_uninterrupted(estimator, reading):
    settings = settings_of("bsvm", estimator=estimator, reading=reading)
    whole = trained(SYSTEMS.get("bsvm").learner(task_of(), settings), range(3))
    before = trained(SYSTEMS.get("bsvm").learner(task_of(), settings), range(1))
    after = SYSTEMS.get("bsvm").learner(task_of(), settings)
    after.restore(before.state())
    trained(before, range(1, 2))  # what the first one does later is not the state's business
    assert torch.equal(weights(trained(after, range(1, 3))), weights(whole))


@pytest.mark.parametrize("name", NAMES)
def test_only_labelled_labels_matter(name):
    store = store_of()
    other = store_of()
    other.labels[8:] = 1 - other.labels[8:]
    first, second = (
        trained(SYSTEMS.get(name).learner(task_of(s), settings_of(name)), range(1)) for s in (store, other)
    )
    assert torch.equal(weights(first), weights(second))


def test_images_without_labels_do_matter():
    other = store_of()
    other.images[20] = 0
    first, second = (
        trained(SYSTEMS.get("bsvm").learner(task_of(s), settings_of("bsvm")), range(1)) for s in (store_of(), other)
    )
    assert not torch.equal(weights(first), weights(second))


def batches_of(name, **changes):
    """What the learner of that system is given in the steps of its first epoch."""
    learner, batches = SYSTEMS.get(name).learner(task_of(**changes), settings_of(name)), []
    step = learner.trainer.step
    learner.trainer.step = lambda batch, average: (batches.append(batch), step(batch, average))[1]
    return batches_checked(trained(learner, range(1)), batches)


def batches_checked(learner, batches):
    assert len(batches) == learner.steps_per_epoch
    return batches


def test_m2_is_told_the_labels_at_hand_and_no_others():
    store = store_of()
    store.images[:, 0, 0, 0] = np.arange(48)  # every image says which it is
    for batch in batches_of("m2", store=store):
        which = (batch.images[:, 0, 0, 0] * 255).round().long().numpy()
        assert batch.labels.tolist() == np.where(which < 8, store.labels[which], -1).tolist()


def test_the_transductive_term_sees_all_training_images_and_the_labels_at_hand():
    store = store_of()
    store.images[:, 0, 0, 0] = np.arange(48)
    seen, weights = set(), []
    for batch in batches_of("tbsvm", store=store):
        term = batch.marginalised
        which = (term.images[:, 0, 0, 0] * 255).round().long().numpy()
        assert term.labels.tolist() == np.where(which < 8, store.labels[which], -1).tolist()
        assert term.views.shape == term.images.shape
        assert not torch.equal(term.views, term.images)
        seen |= set(which.tolist())
        weights.append(term.weight / batch.labelled.weight)
    assert max(seen) < 32
    assert len(seen) > 8
    assert weights == pytest.approx([0.0, 1 / 6, 2 / 6, 3 / 6])  # 4 of 12 steps, rising over half of them


def test_automatic_xi_weighs_the_labels_alike_at_every_proportion():
    for labelled in (8, 16, 32):
        learner = SYSTEMS.get("bsvm").learner(task_of(labelled=labelled), settings_of("bsvm"))
        assert learner.xi_value == pytest.approx(784 * 32 / (2 * labelled))
        assert learner.label_weight == pytest.approx(784 / 2)


def test_a_factor_changes_automatic_xi_and_no_other():
    for xi, expected in (("auto", 0.25 * 784 * 32 / (2 * 8)), (7.0, 7.0)):
        learner = SYSTEMS.get("bsvm").learner(task_of(xi=xi), settings_of("bsvm", xi_factor=0.25))
        assert learner.xi_value == pytest.approx(expected)


@pytest.mark.parametrize(("name", "drawn"), [("bsvm", 8 + 4), ("tbsvm", 8 + 4 + 2 * 4)])
def test_the_images_that_a_step_draws_are_counted(name, drawn):
    learner = SYSTEMS.get(name).learner(task_of(), settings_of(name))
    assert learner.images_per_step == drawn
    assert SYSTEMS.get(name).learner(task_of(xi=0.0), settings_of(name)).images_per_step == 8


@pytest.mark.parametrize("name", ["bsvm", "softmax", "tbsvm"])
def test_xi_zero_learns_from_images_alone_and_fits_the_labels_afterwards(name):
    learner = SYSTEMS.get(name).learner(task_of(xi=0.0), settings_of(name))
    assert not learner.answers
    trained(learner, range(2))
    assert (learner.model.label_model.beta == 0).all()
    encoder = [p.clone() for p in learner.model.encoder.parameters()]
    learner.finish()
    assert all(torch.equal(a, b) for a, b in zip(encoder, learner.model.encoder.parameters(), strict=True))
    assert (learner.model.label_model.beta != 0).any()


def test_it_learns_two_plain_classes():
    learner = trained(SYSTEMS.get("softmax").learner(task_of(), settings_of("softmax", epochs=8)), range(8))
    probabilities = learner.log_probabilities(task_of().store.batch(np.arange(32, 40))).exp()
    torch.testing.assert_close(probabilities.sum(1), torch.ones(8))
    assert (probabilities.argmax(1).numpy() == task_of().store.labels[32:40]).all()


def test_bound_and_pictures():
    learner = SYSTEMS.get("bsvm").learner(task_of(), settings_of("bsvm"))
    images = task_of().store.batch(np.arange(4))
    bound = learner.bound(images)
    assert all(values.shape == (4,) for values in bound.values())
    assert torch.equal(bound["elbo"], learner.bound(images)["elbo"])
    for picture in learner.pictures(images).values():
        assert picture.shape[1:] == (4 * 28 + 3 * 2, 1)
        assert picture.min() >= 0
        assert picture.max() <= 1


def test_images_are_measured_on_the_training_part_alone():
    store = store_of()
    store.images[32:] = 255
    model = SYSTEMS.get("bsvm").learner(task_of(store), settings_of("bsvm")).model
    images = store.images[:32].astype(np.float64).transpose(0, 3, 1, 2) / 255
    ground = np.percentile(images, 50, method="lower")
    variance = np.square(images - ground).mean()
    assert float(model.standardisation.ground) == pytest.approx(ground)
    assert float(model.standardisation.scale) == pytest.approx(3 * np.sqrt(variance))
    assert float(model.decoder.log_alpha.detach()) == pytest.approx(-np.log(variance))


def test_of_many_images_a_sample_is_measured(monkeypatch):
    monkeypatch.setattr("experiments.learning.variational.MEASURED", 5 * 28 * 28)
    store = store_of()
    store.images[:] = 255 * (np.arange(48) == 20)[:, None, None, None]  # one white image among 47 black ones
    scales = [
        float(SYSTEMS.get("bsvm").learner(task_of(store, seed=seed), settings_of("bsvm")).model.standardisation.scale)
        for seed in (0, *range(10))
    ]
    assert scales[0] == scales[1]
    # The white one is among the five that are measured, or is not.
    assert {round(each, 4) for each in scales} == {round(3 / 255, 4), round(3 / np.sqrt(5), 4)}


@pytest.mark.parametrize(("name", "expected"), [("mnist", 1.0), ("cifar-10", 1080 / 3200), ("imagenet", 1080 / 25_600)])
def test_the_learning_rate_falls_with_the_values_that_a_filter_reads(name, expected):
    """30 maps of 6 × 6 values on digits, 128 of 5 × 5 on small colour pictures, 1,024 of 5 × 5 on large ones."""
    assert share_of_rate(TABLE2[name]) == pytest.approx(expected)


def test_a_given_noise_stays_as_it_is():
    learner = SYSTEMS.get("bsvm").learner(task_of(), settings_of("bsvm", log_alpha=1.5))
    assert float(learner.model.decoder.log_alpha.detach()) == 1.5


def test_tile_lays_images_out_in_rows():
    images = torch.arange(3.0).view(3, 1, 1, 1).expand(3, 1, 2, 2) / 4
    sheet = tile(images, columns=2, gap=1)[..., 0]
    assert sheet.shape == (5, 5)
    assert sheet[:2, 3:].eq(0.25).all()
    assert sheet[3:, :2].eq(0.5).all()
    assert sheet[2].eq(1).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"estimator": "nvli"}, "unknown estimator 'nvli': known are exact, gumbel, nvil, rloo"),
        ({"reading": "shared"}, "estimator 'exact' cannot serve reading 'shared'"),
        ({"architecture": "mnits"}, "unknown architecture 'mnits'"),
        ({"epoch": 3}, "Extra inputs are not permitted"),
        ({"learning_rate": 0}, "greater than 0"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ValidationError, match=message):
        settings_of("bsvm", **change)


def test_an_architecture_for_other_images_is_refused():
    with pytest.raises(UserError, match=r"'mnist' takes images of 28×28×1, dataset 'mnist' has 20×20×1"):
        SYSTEMS.get("bsvm").learner(task_of(store_of(20)), settings_of("bsvm", architecture="mnist"))
