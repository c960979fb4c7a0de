"""One trial: the same digits every time, whatever interrupted it on its way."""

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from experiments.settings.config import load
from experiments.trial_store.folders import TrialStore
from experiments.trial_store.layout import Layout
from experiments.trial_store.log import lines
from experiments.trials import label_evaluation
from experiments.trials import training as training_module
from experiments.trials.grid import trials
from experiments.trials.run import epochs
from experiments.trials.training import TrialFailed

TIMINGS = {"seconds", "images_per_second", "time", "train_seconds", "test_ms_per_image", "finished_at"}


@pytest.fixture
def start(world, cpu):
    """Starts the only trial of a profile in a store of the given name; returns its epochs and its folder."""

    def begin(system="toy-bounded", store="store", **settings):
        world.params(default={"systems": [system]}, toys={"epochs": 4, **settings})
        layout = Layout(store=Path(store))
        (only,) = trials(load(Path("params.yaml")), layout)
        folder = TrialStore(layout.store).folder(only.identity)
        return epochs(only, layout, folder, cpu), folder

    return begin


def timeless(values):
    return {name: value for name, value in values.items() if name not in TIMINGS}


def test_two_runs_give_the_same_digits(start):
    found = []
    for name in ("first", "second"):
        rows, folder = start(store=name)
        found.append(([timeless(row) for row in rows], timeless(folder.result())))
    assert found[0] == found[1]
    assert len(found[0][0]) == 4


def test_the_tested_weights_are_kept(start):
    kept = []
    for name in ("first", "second"):
        rows, folder = start(store=name)
        list(rows)
        kept.append(torch.load(folder.path / "weights.pt", weights_only=True))
        assert not (folder.path / "checkpoint.pt").exists()
    assert kept[0].keys() == kept[1].keys()
    assert all(torch.equal(kept[0][name], kept[1][name]) for name in kept[0])
    assert any(tensor.abs().sum() > 0 for tensor in kept[0].values())


@pytest.mark.parametrize("stopped_after", [1, 2, 4])
def test_an_interrupted_trial_ends_as_an_undisturbed_one(start, stopped_after):
    rows, folder = start(store="undisturbed")
    whole, result = [timeless(row) for row in rows], timeless(folder.result())

    rows, folder = start(store="interrupted")
    before = list(itertools.islice(rows, stopped_after))
    rows.close()
    assert folder.status == "missing"
    rows, folder = start(store="interrupted")
    after = list(rows)

    assert [timeless(row) for row in before + after] == whole
    assert [timeless(row) for row in folder.rows()] == whole
    assert timeless(folder.result()) == result
    assert not (folder.path / "checkpoint.pt").exists()


def test_a_killed_trial_goes_on_from_its_last_checkpoint(start, monkeypatch):
    rows, folder = start(store="undisturbed")
    whole, result = [timeless(row) for row in rows], timeless(folder.result())

    monkeypatch.setattr(training_module, "CHECKPOINT_SECONDS", 0.0)
    rows, folder = start(store="killed")
    next(rows), next(rows), next(rows)  # the checkpoint of the third epoch is written when the fourth begins
    checkpoint = (folder.path / "checkpoint.pt").read_bytes()
    rows.close()
    (folder.path / "checkpoint.pt").write_bytes(checkpoint)
    assert len(folder.rows()) == 3
    rows, folder = start(store="killed")
    assert [timeless(row) for row in rows] == whole[2:]
    assert [timeless(row) for row in folder.rows()] == whole
    assert timeless(folder.result()) == result


def test_checkpoints_are_not_written_more_often_than_needed(start):
    rows, folder = start()
    for _ in range(3):
        next(rows)
        assert not (folder.path / "checkpoint.pt").exists()
    rows.close()
    assert (folder.path / "checkpoint.pt").exists()


def test_a_loss_that_is_not_finite_fails_with_its_reason(start):
    rows, folder = start("toy-nan")
    next(rows)
    with pytest.raises(TrialFailed, match=r"the loss is not finite \(nan\) in epoch 1, step 0"):
        next(rows)
    assert folder.status == "failed"
    assert "not finite" in folder.failure()["reason"]
    assert folder.result() is None


def test_whatever_goes_wrong_is_in_the_folder(start, monkeypatch):
    rows, folder = start()
    monkeypatch.setattr(label_evaluation.LabelJudge, "validated", lambda *args: 1 / 0)
    with pytest.raises(TrialFailed, match="ZeroDivisionError: division by zero"):
        next(rows)
    assert "Traceback" in folder.failure()["details"]


def test_a_done_trial_is_not_run_again(start):
    rows, folder = start()
    list(rows)
    before = (folder.path / "result.json").stat().st_mtime_ns
    rows, folder = start()
    assert list(rows) == []
    assert (folder.path / "result.json").stat().st_mtime_ns == before


def test_the_last_epochs_weights_are_the_ones_tested(start, monkeypatch):
    """The validation accuracies are made up, and the second epoch's is the best: it must not matter."""
    real, seen = label_evaluation.evaluate, []

    def made_up(learner, store, indices, device, averages=()):
        found = real(learner, store, indices, device, averages)
        seen.append(learner.model.weight.detach().clone())
        return found | {"top1": [10.0, 80.0, 30.0, 70.0, 55.0][len(seen) - 1]}

    monkeypatch.setattr(label_evaluation, "evaluate", made_up)
    rows, folder = start("toy")
    list(rows)
    assert folder.result()["top1"] == 55.0
    assert torch.equal(seen[4], seen[3])
    assert not torch.equal(seen[3], seen[1])
    kept = torch.load(folder.path / "weights.pt", weights_only=True)
    assert torch.equal(kept["weight"], seen[3])


def test_the_test_part_is_read_once_and_not_before_the_end(start, world, monkeypatch):
    real, seen = label_evaluation.evaluate, []

    def noted(learner, store, indices, device, averages=()):
        seen.append(set(indices.tolist()))
        return real(learner, store, indices, device, averages)

    monkeypatch.setattr(label_evaluation, "evaluate", noted)
    rows, _ = start()
    list(rows)
    with np.load("data/splits/mnist-5k/parts.npz") as parts:
        test, validation = set(parts["test"].tolist()), set(parts["validation"].tolist())
    assert seen == [validation] * 4 + [test]


def test_a_result_says_what_the_table_needs(start):
    rows, folder = start()
    list(rows)
    result = folder.result()
    images = np.load("data/processed/mnist-5k/images-00000.npy").astype(np.float64) / 255
    with np.load("data/splits/mnist-5k/parts.npz") as parts:
        test = parts["test"]
    elbo = -images[test].sum(axis=(1, 2, 3)).mean()
    assert result["elbo"] == pytest.approx(elbo, rel=1e-6)
    assert result["xi_value"] == 7.0
    assert result["labelled"] == 350
    assert result["device"] == "cpu"
    assert result["parameters"] == 28 * 28 * 10 + 10
    assert 0 <= result["top1"] <= result["top5"] <= 100
    assert 0 <= result["ece_scaled"] <= 100
    assert result["temperature"] > 0
    labels = np.load("data/processed/mnist-5k/labels.npy")[test]
    kept = folder.predictions()
    right, confidences = kept.classes == labels, np.exp(kept.log_probabilities.astype(float))
    assert 100 * right.mean() == pytest.approx(result["top1"])
    bins = np.ceil(15 * confidences)
    gaps = [abs((right - confidences)[bins == each].sum()) for each in np.unique(bins)]
    assert 100 * sum(gaps) / len(labels) == pytest.approx(result["ece"], abs=0.5)
    assert math.isclose(result["train_seconds"], sum(row["seconds"] for row in folder.rows()))
    assert folder.config()["identity"] == result["identity"] == folder.path.name


def test_pictures_are_kept(start):
    rows, folder = start()
    list(rows)
    pictures = folder.pictures()
    assert list(pictures) == ["reconstructions", "samples"]
    first = np.asarray(Image.open(pictures["reconstructions"]))
    images = np.load("data/processed/mnist-5k/images-00000.npy")
    labels = np.load("data/processed/mnist-5k/labels.npy")
    with np.load("data/splits/mnist-5k/parts.npz") as parts:
        validation = parts["validation"]
    expected = validation[labels[validation] == 0][0]  # the first one of the first class
    assert np.array_equal(first, images[expected, :, :, 0])


def test_a_result_keeps_the_number_of_threads(start):
    rows, folder = start()
    list(rows)
    assert (folder.result()["threads"], folder.result()["device"]) == ([1], "cpu")
    assert [row["threads"] for row in folder.rows()] == [1] * 4


def test_going_on_with_other_threads_is_kept_and_told(start):
    rows, folder = start()
    next(rows), next(rows)
    rows.close()
    torch.set_num_threads(2)
    try:
        rows, folder = start()
        list(rows)
    finally:
        torch.set_num_threads(1)
    assert folder.result()["threads"] == [1, 2]
    (told,) = (line for line in lines(folder) if "from here on" in line)
    assert told.startswith("  from here on 2 threads, not 1 thread: ")


def replace_in_checkpoint(folder, **changes):
    folder.save_checkpoint(folder.checkpoint() | changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"identity": "fedcba9876543210"},
        {"rows": []},
        {"rows": [{"epoch": 1, "time": 5.0}, {"epoch": 2, "time": 6.0}]},
        {"rows": [{"epoch": 0, "time": math.nan}]},
        {"seconds": -1.0},
        {"learner": 5},
    ],
    ids=str,
)
def test_a_checkpoint_that_does_not_hold_is_not_gone_on_from(start, changes):
    rows, folder = start()
    next(rows), next(rows)
    rows.close()
    replace_in_checkpoint(folder, **changes)
    rows, folder = start()
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    assert folder.status == "done"


def test_a_checkpoint_without_an_identity_is_gone_on_from(start):
    rows, folder = start()
    next(rows), next(rows)
    rows.close()
    saved = folder.checkpoint()
    assert saved.pop("identity") == folder.path.name
    folder.save_checkpoint(saved)
    rows, folder = start()
    assert [row["epoch"] for row in rows] == [2, 3]


def test_a_score_that_is_not_finite_fails_with_its_reason(start, monkeypatch):
    rows, folder = start()
    real = label_evaluation.LabelJudge.validated
    monkeypatch.setattr(
        label_evaluation.LabelJudge, "validated", lambda *given: real(*given) | {"kl_switches": math.inf}
    )
    with pytest.raises(TrialFailed, match=r"^validation_kl_switches is not finite \(inf\) in epoch 0$"):
        next(rows)
    assert folder.status == "failed"


@pytest.mark.parametrize("change", [{"elbo": math.nan}, {"top1": 200.0}])
def test_a_result_that_does_not_hold_is_never_written(start, monkeypatch, change):
    real = label_evaluation.LabelJudge.tested
    monkeypatch.setattr(label_evaluation.LabelJudge, "tested", lambda *given: real(*given) | change)
    rows, folder = start()
    (name,) = change
    with pytest.raises(TrialFailed, match=rf"^its result does not hold: {name} = "):
        list(rows)
    assert folder.status == "failed"
    assert not (folder.path / "result.json").exists()
