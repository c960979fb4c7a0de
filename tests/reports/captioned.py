"""The files of a made-up sweep over captioned images: results.csv, subsets.csv, captions.json and pictures."""

from __future__ import annotations

import hashlib
import json
import math
import random
from pathlib import Path

from PIL import Image

SCORES = ("bleu1", "bleu2", "bleu3", "bleu4", "meteor", "rouge_l", "cider", "perplexity")
PROPORTIONS = (0.02, 0.1, 1.0)
BLEU4 = {  # made up, by system
    "caption": (0.155, 0.262, 0.371),
    "cnn-rnn": (0.081, 0.204, 0.376),
    "neighbour": (0.118, 0.171, 0.214),
}
XI_STUDY = {0.0: 0.188, 10.0: 0.243}
COLOURS = {"red": (200, 40, 40), "green": (40, 150, 70), "blue": (50, 80, 200), "yellow": (230, 190, 40)}
SHAPES = ("circle", "square", "cross")


def row(system: str, proportion: float, xi: float | str | None, seed: int, bleu4: float) -> dict[str, object]:
    """Returns the row of a finished trial with scores around this BLEU-4."""
    key = json.dumps(["shapes", system, proportion, xi, seed])
    draw = random.Random(key)
    bleu4 = round(bleu4 + draw.gauss(0, 0.004 / proportion**0.3), 5)
    ours = system in ("caption", "neighbour")
    return {
        "trial_id": hashlib.sha256(key.encode()).hexdigest()[:16],
        "dataset": "shapes",
        "system": system,
        "proportion": proportion,
        "xi": "" if xi is None else xi,
        "seed": seed,
        "labelled": round(4000 * proportion),
        "status": "done",
        "top1": "",
        "top5": "",
        "ece": "",
        "elbo": round(900 + draw.gauss(0, 9), 3) if ours else "",
        "epochs": 20,
        "train_seconds": round(draw.uniform(20, 60), 3),
        "images_per_second": round(draw.uniform(900, 1500), 1),
        "test_ms_per_image": round(draw.uniform(1, 4), 4),
        "device": "cpu",
        "git_sha": "3f1c9e02b7d6",
        "mlflow_run_id": hashlib.md5(key.encode()).hexdigest(),
        "xi_value": 900 / proportion if xi == "auto" else "",
        "kl_switches": round(80 + draw.gauss(0, 3), 3) if ours else "",
        "reason": "",
        **scored(bleu4, system, draw),
    }


def scored(bleu4: float, system: str, draw: random.Random) -> dict[str, object]:
    """Returns all scores around a BLEU-4; nearest neighbours have no likelihood."""
    lower = {f"bleu{n}": round(bleu4 ** (n / 4) * (1 if n == 4 else 0.95), 5) for n in (1, 2, 3, 4)}
    more = {"meteor": round(0.1 + 0.6 * bleu4, 5), "rouge_l": round(0.2 + bleu4, 5), "cider": round(4 * bleu4, 5)}
    perplexity = "" if system == "neighbour" else round(1.6 + 0.9 / bleu4**0.8 + draw.gauss(0, 0.05), 4)
    return lower | more | {"perplexity": perplexity}


def grid(repetitions: int = 2, proportions: tuple[float, ...] = PROPORTIONS) -> list[dict[str, object]]:
    """Returns rows of three systems at these proportions, all done, with a study of ξ at a tenth of the captions."""
    rows = [
        row(system, proportion, "auto" if system == "caption" else None, seed, bleu4)
        for system, means in BLEU4.items()
        for proportion, bleu4 in zip(PROPORTIONS, means, strict=True)
        if proportion in proportions
        for seed in range(repetitions)
    ]
    study = [row("caption", 0.1, xi, seed, bleu4) for xi, bleu4 in XI_STUDY.items() for seed in range(repetitions)]
    return rows + (study if 0.1 in proportions else [])


def subset_rows(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Returns subsets.csv of the done trials; scores are better where the caption was in training."""
    return [
        {"trial_id": trial["trial_id"], "subset": subset, "images": images}
        | scored(trial["bleu4"] * factor, str(trial["system"]), random.Random(trial["trial_id"] + subset))
        for trial in rows
        if trial["status"] == "done"
        for subset, images, factor in (("same", 338, 1.15), ("unseen", 662, 0.92))
    ]


def without_meteor(rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Returns the rows as they are without Java."""
    return [trial | {"meteor": ""} for trial in rows]


def picture(colour: str, shape: str, side: int) -> Image.Image:
    """Draws a coloured shape."""
    image = Image.new("RGB", (side, side), (236, 233, 225))
    middle, reach = side // 2, side // 4
    for x in range(side):
        for y in range(side):
            dx, dy = abs(x - middle), abs(y - middle)
            inside = {
                "circle": math.hypot(dx, dy) <= reach,
                "square": max(dx, dy) <= reach,
                "cross": min(dx, dy) <= reach / 3 and max(dx, dy) <= reach,
            }
            if inside[shape]:
                image.putpixel((x, y), COLOURS[colour])
    return image


def generated_caption(trial: dict[str, object], colour: str, shape: str) -> dict[str, object]:
    """Returns a trial's caption of an image, which is right more often with more captions."""
    draw = random.Random(f"{trial['trial_id']} {colour} {shape}")
    right = draw.random() < 0.35 + 0.3 * math.log10(100 * trial["proportion"])
    text = (
        f"a {colour} {shape} in the middle" if right else f"a small {draw.choice(list(COLOURS))} {draw.choice(SHAPES)}"
    )
    likelihood = None if trial["system"] == "neighbour" else round(-draw.uniform(1, 9), 3)
    return {
        **{key: trial[key] for key in ("trial_id", "system", "proportion")},
        "xi": trial["xi"],
        "text": text,
        "log_likelihood": likelihood,
        "words": len(text.split()) + 1,
    }


def captions(rows: list[dict[str, object]], count: int) -> dict[str, object]:
    """Returns the content of captions.json for that many images."""
    speakers = [
        trial for trial in rows if trial["seed"] == 0 and trial["status"] == "done" and trial["xi"] in ("", "auto")
    ]
    images = []
    for place in range(count):
        colour, shape = list(COLOURS)[place % 4], SHAPES[place % 3]
        images.append(
            {
                "index": 41 * place,
                "file": f"test-{41 * place:06d}.png",
                "subset": "same" if place % 3 else "unseen",
                "references": [f"A {colour} {shape}, in the middle.", f"there is one {colour} {shape}"],
                "said": [generated_caption(trial, colour, shape) for trial in speakers],
            }
        )
    return {"images": images, "chosen": "evenly spaced over the test part"}


def write_pictures(gallery: Path, content: dict[str, object]) -> None:
    """Writes captions.json and the pictures that it names, small and large."""
    for place, image in enumerate(content["images"]):
        side = (32, 64, 256)[place % 3]
        picture(list(COLOURS)[place % 4], SHAPES[place % 3], side).save(gallery / image["file"])
    (gallery / "captions.json").write_text(json.dumps(content), encoding="utf-8")
