"""What a sweep writes for the report: results.csv and its companions, and the gallery.

The gallery is a folder with `sweep.json`, which says how the sweep was run, with pictures that trials drew and, for
captions, with `captions.json`.
"""

from __future__ import annotations

import csv
import shutil
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from PIL import Image

from data.prepared.store import ImageStore
from experiments.compute.resources import Resources, gpus
from experiments.files import write_json
from experiments.provenance import machine, revision, versions
from experiments.settings.config import Config
from experiments.trial_store.folders import TrialStore
from experiments.trials.caption_scores import SCORES
from experiments.trials.grid import Trial, xi_text

COLUMNS = (
    "trial_id", "dataset", "system", "proportion", "xi", "seed", "labelled", "status", "top1", "top5", "elbo", "epochs",
    "train_seconds", "images_per_second", "test_ms_per_image", "device", "threads", "git_sha", "mlflow_run_id",
    "xi_value", "kl_switches", "ece", "ece_scaled", "temperature", "updates", "images_drawn", "operations", "doubts",
    "reason",
)  # fmt: skip
CAPTIONED = (*COLUMNS, *SCORES, "perplexity")  # columns of results.csv where images have captions
SUBSETS = ("trial_id", "subset", "images", *SCORES, "perplexity")
AVERAGING = ("trial_id", "draws", "top1", "top5", "ece", "ms_per_image")
SHOWN = 48  # test images whose captions the report shows
CAPTIONS = {
    "reconstructions": "validation images above their reconstructions",
    "samples": "samples from the prior",
}


def row(
    trial: Trial, store: TrialStore, runs: Mapping[str, str], failed: Mapping[str, str] = MappingProxyType({})
) -> dict[str, Any]:
    """Returns the trial's row of results.csv. The status of a trial that is neither done nor failed is "missing".

    Args:
        trial: the trial.
        store: the trial store.
        runs: MLflow's runs by identity.
        failed: reasons of failures by identity, also of trials whose disk was too full to note them.
    """
    folder = store.folder(trial.identity)
    result = folder.result()
    noted = (folder.failure() or {}).get("reason") or failed.get(trial.identity)
    threads = (result or {}).get("threads") or ()
    failure = noted if result is None else None
    values = {
        **(result or {}),
        "trial_id": trial.identity,
        "dataset": trial.dataset,
        "system": trial.system,
        "proportion": trial.proportion,
        "xi": xi_text(trial.xi),
        "seed": trial.seed,
        "labelled": trial.labelled,
        "status": "done" if result else "failed" if failure else "missing",
        "doubts": "; ".join((result or {}).get("doubts", ())),
        "threads": ", then ".join(map(str, threads)),  # several where the trial resumed on another number
        "mlflow_run_id": runs.get(trial.identity),
        "reason": failure,
    }
    return {name: "" if values.get(name) is None else values[name] for name in CAPTIONED}


def undone(results: Path) -> int:
    """Returns the number of trials in a results.csv that are not done."""
    with results.open(encoding="utf-8", newline="") as file:
        return sum(row["status"] != "done" for row in csv.DictReader(file))


def averaging_rows(trials: Sequence[Trial], store: TrialStore) -> Iterator[dict[str, Any]]:
    """Yields each done trial's test scores by the number of codes that its predictions are averaged over."""
    for trial in trials:
        result = store.folder(trial.identity).result() or {}
        for measured in result.get("averaging", ()):
            yield {"trial_id": trial.identity, **measured}


def subset_rows(trials: Sequence[Trial], store: TrialStore) -> Iterator[dict[str, Any]]:
    """Yields the scores of each done trial's captions on subsets of the test images."""
    for trial in trials:
        result = store.folder(trial.identity).result() or {}
        for scored in result.get("subsets", ()):
            yield {"trial_id": trial.identity, **scored}


def sweep_facts(
    config: Config, command: str, resources: Resources, seconds: float, wanted: Sequence[Trial], store: TrialStore
) -> dict[str, Any]:
    """Returns what `sweep.json` says of a sweep that has just ended after so many seconds."""
    finished = time.time()
    results = [result for trial in wanted if (result := store.folder(trial.identity).result())]
    return {
        "dataset": config.dataset,
        "profile": config.params.profile,
        "command": command,
        "params": config.resolved(),
        "versions": versions(),
        **revision(),
        "machine": machine(gpus()),
        "workers": resources.workers,
        "started": _clock(finished - seconds),
        "finished": _clock(finished),
        "wall_seconds": seconds,
        "trial_seconds": sum(result["seconds"] for result in results),
    }


def _clock(moment: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))


def write_gallery(folder: Path, trials: Sequence[Trial], store: TrialStore, facts: Mapping[str, Any]) -> None:
    """Replaces the gallery: `sweep.json`, which holds `facts`, and the pictures of one trial of each system.

    That trial is done and has pictures; among such trials it has the largest proportion, then ξ auto, then the lowest
    seed.
    """
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    pictures = []
    shown: set[str] = set()
    for trial in sorted(trials, key=lambda trial: (-trial.proportion, trial.xi != "auto", trial.order)):
        source = store.folder(trial.identity)
        drawn = source.pictures()
        if trial.system in shown or not drawn or source.result() is None:
            continue
        shown.add(trial.system)
        for kind, file in drawn.items():
            name = f"{trial.identity}-{kind}.png"
            shutil.copyfile(file, folder / name)
            pictures.append(
                {
                    "file": name,
                    "trial_id": trial.identity,
                    "system": trial.system,
                    "proportion": trial.proportion,
                    "xi": xi_text(trial.xi),
                    "kind": kind,
                    "caption": CAPTIONS.get(kind, kind),
                }
            )
    write_json(folder / "sweep.json", {**facts, "pictures": pictures})


def write_captions(folder: Path, trials: Sequence[Trial], store: TrialStore, images: ImageStore) -> list[str]:
    """Adds `captions.json` to the gallery, and the test images that it is about, evenly spaced over the test part.

    It holds the references of each image, and the caption of each system at each proportion: that of its done trial
    with ξ auto, where there is one, and the lowest seed. Nothing is written where no trial has captions.

    Returns a line for each trial whose captions are left out, since they do not hold or are about other images.
    """
    captions, left_out = _captions_of(trials, store, len(images.captions))
    speakers: dict[tuple[str, float], tuple[Trial, list[dict[str, Any]]]] = {}
    for trial in sorted(trials, key=lambda trial: (trial.proportion, trial.xi not in ("auto", None), trial.order)):
        if said := captions.get(trial.identity):
            speakers.setdefault((trial.system, trial.proportion), (trial, said))
    if not speakers:
        return left_out
    first = next(iter(speakers.values()))[1]
    chosen = np.linspace(0, len(first) - 1, min(SHOWN, len(first))).round().astype(int)
    shown = []
    for place in chosen:
        index = first[place]["image"]
        name = f"test-{index:06d}.png"
        picture = np.asarray(images.images[[index]])[0]
        Image.fromarray(picture.squeeze(-1) if picture.shape[-1] == 1 else picture).save(folder / name)
        shown.append(
            {
                "index": index,
                "file": name,
                "subset": first[place]["subset"],
                "references": list(images.captions[index]),
                "said": [_spoken(trial, said[place]) for trial, said in speakers.values()],
            }
        )
    write_json(folder / "captions.json", {"images": shown, "chosen": "evenly spaced over the test part"})
    return left_out


def _captions_of(
    trials: Sequence[Trial], store: TrialStore, images: int
) -> tuple[dict[str, list[dict[str, Any]]], list[str]]:
    """Returns the captions of done trials by identity, and a line for each trial whose captions are left out.

    All of them are about the same images, those that most of the trials have captioned, of so many in the dataset.
    """
    found, left_out = {}, []
    for trial in trials:
        source = store.folder(trial.identity)
        if source.result() is not None:
            found[trial.identity] = source.captions()
            left_out += [f"{fault}: its captions are left out" for fault in [source.captions_fault()] if fault]
    about = {identity: tuple(caption["image"] for caption in said) for identity, said in found.items()}
    counts = Counter(order for order in about.values() if order and max(order) < images)
    usual = max(counts, key=counts.__getitem__, default=())
    left_out += [
        f"{store.folder(identity).place}: its captions are left out: they are about other images than those of the rest"
        for identity, order in about.items()
        if order and order != usual
    ]
    return {identity: said for identity, said in found.items() if about[identity] == usual}, left_out


def _spoken(trial: Trial, said: Mapping[str, Any]) -> dict[str, Any]:
    """Returns one caption and the trial that it comes from."""
    what = {name: said[name] for name in ("text", "log_likelihood", "words")}
    return {
        "trial_id": trial.identity,
        "system": trial.system,
        "proportion": trial.proportion,
        "xi": xi_text(trial.xi),
        **what,
    }
