"""The captioning systems: what they see, their digits, and a trial of each from scenes to scores."""

import json
import math
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from ruamel.yaml import YAML

from data import catalog
from data.errors import UserError
from data.labelled.splits import Splits, split
from data.labelled.text import END
from data.prepared.prepare import prepare as prepare_data
from data.prepared.store import ImageStore
from data.tokens import words
from experiments.learning.caption_batches import Captions
from experiments.settings.config import load
from experiments.systems.neighbour import consensus
from experiments.trial_store.layout import Layout
from experiments.trials import caption_evaluation
from experiments.trials import caption_scores as scores
from experiments.trials.grid import make_trial
from experiments.trials.run import prepare, run_trial
from vae.caption_model import PADDING

ROOT = Path(__file__).parents[3]
SYSTEMS = ["caption", "cnn-rnn", "neighbour"]
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """Sixty scenes, and the shipped settings made small."""
    root = tmp_path_factory.mktemp("captioning")
    row = catalog.sized(catalog.get("shapes"), None, None, 60)
    prepare_data(row, root / "data")
    split(row, 2, root / "data", minimum=1)
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    params |= {"dataset": "shapes", "profile": "captions"}
    params["data"] = {"images": 60}
    params["vae"] |= {"updates": 1, "epochs": 2, "batch": 20, "labelled_batch": 8, "code_hidden": 4, "switch_hidden": 4}
    params["supervised"] |= {"updates": 1, "batch": 8, "width": 0.1}
    params["captions"] |= {"units": 12, "word_size": 6, "caption_draws": 3, "beams": 2, "longest": 12}
    for name in SYSTEMS:
        params["systems"][name] = {**params["systems"][name], "epochs": 2}
        params["systems"][name].pop("labelled_batch", None)
        params["systems"][name].pop("updates", None)
    with (root / "params.yaml").open("w") as stream:
        YAML(typ="safe").dump(params, stream)
    return load(root / "params.yaml"), Layout.at(str(root / "data"), str(root / "store"))


def trial_of(world, system, xi="auto", proportion=0.5, seed=0, **changes):
    config, layout = world
    trial = make_trial(config, layout, (system, proportion, xi if system == "caption" else None, seed))
    return replace(trial, settings=trial.settings.model_copy(update=changes))


def made(world, system, **options):
    return prepare(trial_of(world, system, **options), world[1], CPU)


def weights(learner):
    return torch.cat([p.detach().flatten() for p in learner.model.parameters()])


def trained(learner, epochs):
    for epoch in epochs:
        for _ in learner.epoch(epoch):
            torch.rand(1)  # the caller's own stream must not matter
    return learner


@pytest.fixture(scope="module")
def captions(world):
    layout = world[1]
    store, splits = ImageStore.open(layout.processed("shapes")), Splits.open(layout.splits("shapes"))
    return Captions(store, splits), store, splits


def test_every_caption_comes_as_it_was_written(captions):
    known, store, splits = captions
    images = splits.test
    rows, owner = known.every(images)
    said = [[known.vocabulary.decode(row) for row, who in zip(rows, owner, strict=True) if who == i] for i in range(10)]
    sayable = set(known.vocabulary.words)
    for i, image in enumerate(images):
        expected = [" ".join(w if w in sayable else "<unknown>" for w in words(c)) for c in store.captions[image]]
        assert said[i] == expected
    assert ((rows == END).sum(1) == 1).all()


def test_a_drawn_caption_is_each_of_the_images_own_as_often(captions):
    known, store, splits = captions
    image = splits.train[3]
    chances = (np.arange(500) + 0.5) / 500
    drawn = [known.vocabulary.decode(row) for row in known.drawn(np.full(500, image), chances)]
    own = [" ".join(words(caption)) for caption in store.captions[image]]
    assert [drawn.count(caption) for caption in own] == [100] * 5


def test_captions_without_a_word_can_be_learned_from(world, captions):
    """Such as "?" in a user's own pictures: a recurrent cell has to read something."""
    known, _, splits = captions
    texts = known._texts
    nothing = replace(texts, numbers=np.zeros_like(texts.numbers), captions=np.arange(len(texts.captions)))
    known_nothing = Captions(captions[1], splits)
    known_nothing._texts = nothing
    rows = torch.from_numpy(known_nothing.drawn(splits.train[:3], np.zeros(3)))
    assert rows.tolist() == [[END, PADDING]] * 3
    _, learner = made(world, "caption")
    assert torch.isfinite(learner.caption_model.log_likelihood(torch.randn(128, 1, 3), rows)).all()


def test_mean_words_count_the_end(captions):
    known, store, splits = captions
    lengths = [len(words(caption)) + 1 for image in splits.train for caption in store.captions[image]]
    assert known.mean_words(splits.train) == pytest.approx(np.mean(lengths))


def test_familiar_is_an_image_all_of_whose_captions_are_in_training(captions):
    known, store, splits = captions
    assert all(known.familiar(image) for image in splits.train)
    training = {" ".join(words(caption)) for image in splits.train for caption in store.captions[image]}
    for image in splits.test:
        assert known.familiar(image) == all(" ".join(words(c)) in training for c in store.captions[image])


def test_xi_is_values_over_words_and_proportion(world, captions):
    task, learner = made(world, "caption", proportion=0.25)
    share = len(task.labelled) / len(task.train)
    assert learner.xi_value == pytest.approx(32 * 32 * 3 / (captions[0].mean_words(task.labelled) * share))
    assert learner.label_weight == pytest.approx(learner.xi_value * share)
    assert made(world, "cnn-rnn")[1].xi_value is None
    assert made(world, "neighbour")[1].xi_value is None


@pytest.mark.parametrize("system", SYSTEMS)
def test_same_task_same_digits_and_goes_on_from_its_state(world, system):
    (task, first), (_, second), (_, third) = (made(world, system) for _ in range(3))
    trained(first, range(2))
    third.restore(trained(second, range(1)).state())
    trained(third, range(1, 2))
    assert torch.equal(weights(first), weights(third))
    images = task.store.batch(task.validation)
    one, again = first.describe(images), first.describe(images)
    assert torch.equal(one.words, again.words)
    assert torch.equal(one.words, third.describe(images).words)


@pytest.mark.parametrize("system", SYSTEMS)
def test_captions_that_may_not_be_read_do_not_matter(world, system, monkeypatch):
    """Other captions of uncaptioned images leave everything as it is; other captions of captioned ones do not."""

    def after(changed):
        task, learner = made(world, system)
        task.captions.__dict__.pop("_known_captions", None)
        texts = task.captions._texts
        numbers = texts.numbers.copy()
        for image in changed(task):
            first, last = texts.captions[texts.images[image]], texts.captions[texts.images[image + 1]]
            inside = numbers[first:last]
            numbers[first:last] = np.where(inside == END, END, 2)
        with monkeypatch.context() as patch:
            patch.setattr(task.captions, "_texts", replace(texts, numbers=numbers))
            trained(learner, range(1))
            return learner.describe(task.store.batch(task.validation)).words, weights(learner)

    rest = after(lambda task: np.setdiff1d(task.train, task.labelled))
    own, other = after(lambda task: []), after(lambda task: task.labelled)
    assert torch.equal(rest[0], own[0])
    assert torch.equal(rest[1], own[1])
    learned = 0 if system == "neighbour" else 1  # captions change no weights of `neighbour`, but what it answers
    assert not torch.equal(other[learned], own[learned])


def test_only_captioned_images_reach_the_baseline(world):
    task, learner = made(world, "cnn-rnn")
    seen = []
    batch = task.store.batch
    watched = lambda indices, device="cpu": (seen.extend(np.asarray(indices).tolist()), batch(indices, device))[1]  # noqa: E731
    object.__setattr__(task.store, "batch", watched)
    try:
        trained(learner, range(1))
    finally:
        object.__delattr__(task.store, "batch")
    assert set(seen) <= set(task.labelled.tolist())
    assert len(seen) >= len(task.labelled)


def test_without_xi_captions_are_fitted_afterwards_and_move_nothing_else(world):
    _, learner = made(world, "caption", xi=0.0)
    assert not learner.answers
    trained(learner, range(1))
    before = {name: value.clone() for name, value in learner.model.state_dict().items()}
    learner.fit_captions(3)
    moved = {name for name, value in learner.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved
    assert all(name.startswith("label_model.") for name in moved)


def test_the_consensus_by_hand():
    # Common n-grams: the second caption shares two words and a pair with each of the others, which share no word.
    assert consensus([["a", "dog"], ["a", "dog", "in", "snow"], ["in", "snow"]]) == 1
    assert consensus([["a", "dog"], ["a", "dog"], ["snow", "falls"]]) == 0
    assert consensus([["dog"], ["cat"]]) == 0


def test_the_nearest_image_is_itself(world):
    task, learner = made(world, "neighbour", neighbours=1)
    trained(learner, range(1))
    said = learner.describe(task.store.batch(task.labelled))
    assert said.log_likelihood is None
    for row, text, image in zip(said.words.tolist(), said.texts, task.labelled, strict=True):
        assert text in task.store.captions[image]
        assert task.captions.vocabulary.decode(row) == text


@pytest.mark.parametrize("system", ["caption", "cnn-rnn"])
def test_likelihoods_do_not_depend_on_how_the_memory_is_shared_out(world, system, monkeypatch):
    task, learner = made(world, system)
    trained(learner, range(1))
    images = task.store.batch(task.validation)
    rows, owner = map(torch.from_numpy, task.captions.every(task.validation))
    whole, captioned = learner.log_likelihoods(images, rows, owner), learner.describe(images)
    monkeypatch.setattr("experiments.learning.caption_learner.SCORES", 500)
    torch.testing.assert_close(learner.log_likelihoods(images, rows, owner), whole)
    assert torch.equal(learner.describe(images).words, captioned.words)


@pytest.fixture(scope="module")
def done(world):
    """A trial of each system, run to its end, without METEOR; the mean code, so that another process says the same."""
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(caption_evaluation, "java", lambda: None)
        for system in SYSTEMS:
            options = {} if system == "neighbour" else {"caption_draws": 0}
            layout = world[1]
            trial = trial_of(world, system, **options)
            folder = layout.trial_store.folder(trial.identity)
            found[system] = folder, run_trial(trial, layout, folder, CPU, lambda row: None)
    return found


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_trials_scores_are_those_of_the_captions_that_it_keeps(done, world, captions, system):
    (folder, result), (_, store, splits) = done[system], captions
    said = folder.captions()
    assert [entry["image"] for entry in said] == splits.test.tolist()
    references = [store.captions[image] for image in splits.test]
    again = scores.scores([entry["text"] for entry in said], references, meteor=False)
    assert {name: result[name] for name in scores.SCORES} == again
    assert result["meteor"] is None
    assert sum(part["images"] for part in result["subsets"]) == len(splits.test)
    for part in result["subsets"]:
        chosen = [i for i, entry in enumerate(said) if entry["subset"] == part["subset"]]
        assert len(chosen) == part["images"]
        some = scores.scores([said[i]["text"] for i in chosen], [references[i] for i in chosen], meteor=False)
        assert part["bleu4"] == some["bleu4"]
    rows = folder.rows()
    assert all("validation_cider" in row for row in rows)


@pytest.mark.parametrize("system", ["caption", "cnn-rnn"])
def test_perplexity_is_that_of_the_references(done, world, captions, system):
    """From its definition, caption by caption, by a learner that takes the weights that were kept."""
    (folder, result), (known, store, splits) = done[system], captions
    _, learner = made(world, system, caption_draws=0)
    learner.model.load_state_dict(torch.load(folder.path / "weights.pt", weights_only=True))
    learner.model.eval()
    nats = count = 0.0
    for image in splits.test:
        code = learner.codes(store.batch([image]), 0)[0]
        for caption in known._texts.of_image(image):
            state = learner.caption_model.start(code)
            for word in torch.from_numpy(caption.astype(np.int64)):
                nats -= float(learner.caption_model.next_word(state)[0, word].detach())
                state = learner.caption_model.advance(state, word[None])
                count += 1
    assert result["perplexity"] == pytest.approx(math.exp(nats / count), rel=1e-4)


def test_one_picture_from_the_command_line(done, world, captions, tmp_path):
    """`python -m vae caption` says of a test image's picture what the trial said of it."""
    folder, _ = done["caption"]
    said, store = folder.captions(), captions[1]
    paths = []
    for entry in said[:3]:
        paths.append(str(tmp_path / f"{entry['image']}.png"))
        Image.fromarray(store.images[[entry["image"]]][0]).save(paths[-1])
    command = [sys.executable, "-m", "vae", "caption", *paths, "--trial", folder.path.name]
    out = subprocess.run(
        [*command, "--store", str(folder.path.parent)], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    for line, path, entry in zip(out, paths, said, strict=False):
        expected = f"{path}: {entry['text']}  (log p {entry['log_likelihood']:.2f}, perplexity "
        assert line.startswith(expected)


@pytest.fixture
def vae_main(monkeypatch, capsys):
    from vae.__main__ import main

    def go(*arguments):
        monkeypatch.setattr(sys, "argv", ["vae", "caption", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, *capsys.readouterr()

    return go


def test_mistakes_on_the_command_line(done, vae_main, tmp_path):
    folder, _ = done["caption"]
    store = folder.path.parent
    picture = tmp_path / "a.png"
    Image.new("RGB", (40, 30), "red").save(picture)
    cases = [
        ((picture, "--trial", "nothing", "--store", store), "--trial nothing: no trial starts so"),
        (
            (picture, "--trial", done["neighbour"][0].path.name, "--store", store),
            "no done trial of the system `caption` starts so",
        ),
        ((picture, "--trial", "c", "--store", tmp_path / "none"), "there is no such folder"),
        ((tmp_path / "b.png", "--trial", folder.path.name, "--store", store), "No such file"),
        ((folder.path / "config.json", "--trial", folder.path.name, "--store", store), "not a picture"),
        (
            (picture, "--trial", folder.path.name, "--store", store, "--decoding", "greedy", "--beams", 3),
            "add --decoding beam",
        ),
    ]
    for arguments, message in cases:
        code, _, err = vae_main(*arguments)
        assert code == 2
        assert message in err
        assert "Traceback" not in err
    # One broken picture does not cost the others theirs.
    code, out, _ = vae_main(tmp_path / "b.png", picture, "--trial", folder.path.name, "--store", store)
    assert (code, out.count("log p")) == (2, 1)
    for name in ("captioner.json", "weights.pt"):
        damaged = tmp_path / name / folder.path.name
        damaged.mkdir(parents=True)
        for file in ("captioner.json", "weights.pt"):
            content = (folder.path / file).read_bytes()
            (damaged / file).write_bytes(content[: len(content) // 2] if file == name else content)
        code, _, err = vae_main(picture, "--trial", folder.path.name, "--store", damaged.parent)
        assert code == 2
        assert "run that trial again" in err
    description = json.loads((folder.path / "captioner.json").read_text())
    for change in ({"decoding": 5}, {"longest": 10**12}, {"words": "many"}, {"architecture": []}):
        (damaged / "captioner.json").write_text(json.dumps(description | change))
        code, _, err = vae_main(picture, "--trial", folder.path.name, "--store", damaged.parent, "--beams", 3)
        assert (code, err.count("\n")) == (2, 1)
        assert f"captioner.json: {next(iter(change))} = " in err


def test_labels_and_captions_are_not_taken_for_each_other(world, tmp_path):
    config, layout = world
    params = YAML(typ="safe").load(config.origin)
    for change, message in (
        (
            {"profile": "default"},
            "its images have captions, but profile 'default' has bsvm, encoder, alexnet",
        ),
        (
            {"dataset": "mnist-5k", "data": {}},
            "profile 'captions' has caption, cnn-rnn, neighbour, which learn captions",
        ),
    ):
        with (tmp_path / "params.yaml").open("w") as stream:
            YAML(typ="safe").dump({**params, **change}, stream)
        with pytest.raises(UserError, match=message.replace("(", r"\(")):
            load(tmp_path / "params.yaml")
    with pytest.raises(UserError, match="system 'bsvm' learns labels: name systems that learn captions, caption, cnn"):
        make_trial(config, layout, ("bsvm", 0.5, "auto", 0))


def test_what_a_trial_keeps_is_plain(done):
    folder, _ = done["caption"]
    description = json.loads((folder.path / "captioner.json").read_text())
    assert description["words"][:2] == ["<end>", "<unknown>"]
    assert description["architecture"]["name"] == "cifar-10"
    assert not (done["cnn-rnn"][0].path / "captioner.json").exists()
