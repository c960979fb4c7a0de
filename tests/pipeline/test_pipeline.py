"""`dvc repro` from an empty checkout to the report, on real digits with one short epoch a trial."""

import csv
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
REPORT = [
    *(f"tables/table1.{kind}" for kind in ("csv", "md", "tex", "html")),
    *(f"figures/{name}.{kind}" for name in ("figure1", "xi") for kind in ("png", "svg", "pdf")),
    "index.html",
    "metrics.json",
]

pytestmark = pytest.mark.slow


class Checkout:
    """A fresh clone of the working tree, with parameters small enough for a test."""

    def __init__(self, folder):
        self.folder = folder
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=ROOT, check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        for name in filter(None, listed.split("\0")):
            if (ROOT / name).is_file():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name)
        self.edit(
            lambda p: (
                p["profiles"]["default"].update(
                    systems=["bsvm", "alexnet"], proportions=[0.01, 0.02], repetitions=1,
                    xi_study={"systems": ["bsvm"], "proportions": [0.01], "xi": [0]},
                ),
                p["vae"].update(updates=1, epochs=1, batch=500, labelled_batch=16),
                p["supervised"].update(updates=2, epochs=1, batch=32),
            )
        )  # fmt: skip
        for command in ("init -q", "add -A", "-c user.name=t -c user.email=t@example.org commit -qm start"):
            subprocess.run(["git", *command.split()], cwd=folder, check=True)

    def edit(self, change):
        yaml, path = YAML(), self.folder / "params.yaml"
        params = yaml.load(path)
        change(params)
        yaml.dump(params, path)

    def run(self, *command, code=0):
        environment = {
            **os.environ,
            "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.folder),
        }
        done = subprocess.run(
            command, cwd=self.folder, env=environment, capture_output=True, text=True, timeout=500, check=False
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def rows(self):
        with (self.folder / "experiments/results.csv").open(encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def finished(self):
        """When each trial's result was written, by identity."""
        store = self.folder / "experiments/store"
        return {path.parent.name: path.stat().st_mtime_ns for path in store.glob("*/result.json")}


@pytest.fixture(scope="module")
def checkout(tmp_path_factory):
    made = Checkout(tmp_path_factory.mktemp("checkout"))
    made.output = made.run("dvc", "repro")
    return made


def test_first_run_makes_everything(checkout):
    rows = checkout.rows()
    assert len(rows) == 2 * 2 + 1
    assert {row["status"] for row in rows} == {"done"}
    assert {row["trial_id"] for row in rows} == set(checkout.finished())
    assert all(row["mlflow_run_id"] for row in rows)
    for name in REPORT:
        assert (checkout.folder / "reports" / name).stat().st_size > 0, name


def test_second_run_does_nothing(checkout):
    before = checkout.finished()
    assert "up to date" in checkout.run("dvc", "repro")
    assert checkout.finished() == before
    assert "up to date" in checkout.run("dvc", "status")


def test_dvc_knows_metrics_plots_and_experiments(checkout):
    assert "BSVM" in checkout.run("dvc", "metrics", "show", "--md") or "bsvm" in checkout.run("dvc", "metrics", "show")
    checkout.run("dvc", "plots", "show", "--out", "dvc_plots")
    assert (checkout.folder / "dvc_plots/index.html").is_file()
    assert "workspace" in checkout.run("dvc", "exp", "show", "--md")


def test_one_more_repetition_runs_that_repetition_alone(checkout):
    before = checkout.finished()
    checkout.edit(lambda p: p["profiles"]["default"].update(repetitions=2))
    checkout.run("dvc", "repro")
    after = checkout.finished()
    assert {name: after[name] for name in before} == before
    rows = checkout.rows()
    assert len(rows) == len(after) == 2 * len(before)
    assert {row["seed"] for row in rows if row["trial_id"] not in before} == {"1"}


@pytest.mark.parametrize(
    ("change", "messages"),
    [
        (
            lambda p: (
                p.update(dataset="mnits"),
                p["profiles"]["default"].update(proportions=[0], repetitions=0),
            ),
            ["3 mistakes", "mnits", "proportions", "repetitions"],
        ),
        (lambda p: p["vae"].update(epoch=3), ["vae.epoch: unknown key"]),
    ],
)
def test_bad_settings_stop_before_anything_runs(checkout, change, messages):
    before, params = checkout.finished(), (checkout.folder / "params.yaml").read_text(encoding="utf-8")
    try:
        checkout.edit(change)
        output = checkout.run(sys.executable, "-m", "experiments", "check", code=2)
    finally:
        (checkout.folder / "params.yaml").write_text(params, encoding="utf-8")
    assert all(message in output for message in messages), output
    assert "Traceback" not in output
    assert checkout.finished() == before


@pytest.fixture
def elsewhere(checkout):
    """Runs the pipeline on another dataset, and puts the settings back."""
    path = checkout.folder / "params.yaml"
    before = path.read_text(encoding="utf-8")

    def go(dataset, source=None, code=0):
        checkout.edit(lambda p: (p.update(dataset=dataset), p["data"].update(source=source and str(source))))
        return checkout.run("dvc", "repro", code=code)

    yield go
    path.write_text(before, encoding="utf-8")


def test_pictures_of_one_s_own_go_all_the_way(checkout, elsewhere, tmp_path):
    chance = np.random.default_rng(0)
    for number, name in enumerate(("ant", "bee")):
        folder = tmp_path / "mine" / name
        folder.mkdir(parents=True)
        for i in range(30):
            pixels = chance.integers(0, 120, (40, 50, 3), dtype=np.uint8)
            pixels[..., number] += 100
            Image.fromarray(pixels).save(folder / f"{i}.jpg")
    (tmp_path / "mine" / "ant" / "broken.jpg").write_bytes(b"no picture")
    output = elsewhere("folder", tmp_path / "mine")
    assert "1 broken pictures were left out" in output
    rows = checkout.rows()
    assert {(row["dataset"], row["status"]) for row in rows} == {("folder", "done")}
    assert "folder" in (checkout.folder / "reports/tables/table1.md").read_text(encoding="utf-8")


def test_captioned_pictures_of_one_s_own_go_all_the_way(checkout, elsewhere, tmp_path):
    lines = []
    for number in range(30):
        Image.new("RGB", (40, 40), (8 * number, 0, 0)).save(tmp_path / f"{number}.png")
        lines.append(f'{{"path": "{number}.png", "captions": ["a red square", "red number {number}"]}}')
    (tmp_path / "images.jsonl").write_text("\n".join(lines), encoding="utf-8")
    output = elsewhere("folder", tmp_path, code=255)
    assert "have captions, and system 'bsvm' learns labels" in output
    assert "Traceback" not in output
    assert (checkout.folder / "data/splits/folder/vocabulary.json").is_file()

    systems = ["caption", "cnn-rnn", "neighbour"]

    def captioning(params):
        params["profile"] = "captions"
        params["profiles"]["captions"].update(proportions=[0.5], repetitions=1)
        params["captions"].update(units=16, word_size=8, caption_draws=1, longest=4)
        for name in systems:
            params["systems"][name].update(epochs=1)
        params["systems"]["cnn-rnn"].update(updates=2, batch=8)

    checkout.edit(captioning)
    elsewhere("folder", tmp_path)
    rows = checkout.rows()
    assert sorted((row["system"], row["status"]) for row in rows) == [(name, "done") for name in systems]
    assert all(0 <= float(row["bleu4"]) <= 1 and not row["top1"] for row in rows)
    shown = json.loads((checkout.folder / "experiments/gallery/captions.json").read_text(encoding="utf-8"))["images"]
    assert len(shown) == 6
    for entry in shown:
        assert {said["system"] for said in entry["said"]} == set(systems)
        picture = np.asarray(Image.open(checkout.folder / "experiments/gallery" / entry["file"]))
        number = entry["references"][1].split()[-1]
        assert abs(int(picture[16, 16, 0]) - 8 * int(number)) <= 1
    report = checkout.folder / "reports"
    for name in ("tables/captions.csv", "figures/captions.png", "figures/examples.html", "index.html", "answer.md"):
        assert (report / name).is_file(), name
    assert "red number" in (report / "figures/examples.html").read_text(encoding="utf-8")
    assert "Data and pipelines are up to date" in checkout.run("dvc", "repro")


@pytest.mark.parametrize(
    ("dataset", "profile", "message"),
    [
        ("imagenet-2012", "default", "ILSVRC2012_img_train.tar (147.9 GB)"),
        ("flickr30k", "captions", "python -m data download flickr30k --source FOLDER"),
        ("flickr30k", "default", "its images have captions, but profile 'default' has bsvm, alexnet"),
    ],
)
def test_a_dataset_that_is_not_here_says_how_to_get_it(checkout, elsewhere, dataset, profile, message):
    checkout.edit(lambda params: params.update(profile=profile))
    output = elsewhere(dataset, code=255)
    assert message in output
    assert "Traceback" not in output
