"""Names and reasons made to be taken for commands, and the files of sweeps that are full of them."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path
from types import SimpleNamespace

RAN = "document.title='ran'"
NAMES = (
    f'<img src=x onerror="{RAN}">',
    f"</script><script>{RAN}</script>",
    f'" onmouseover="{RAN}" autofocus onfocus="{RAN}" x="',
    f"javascript:{RAN}",
    "{{7*7}}{% raw %}${7*7}#{7*7}",
    f'<svg onload="{RAN}"><foreignObject><iframe srcdoc="<script>parent.{RAN}</script>"></iframe></foreignObject>',
    f"--><script>{RAN}</script><!-- ]]><script>{RAN}</script>",
    f"</style></title></textarea></svg><script>{RAN}</script>",
    r"$\frac{$ x_1^2 100% & #1 ~ \input{/etc/passwd} \end{table} $",
    "[12pt] _ ^ $ % $$",
    "*[x](javascript:alert(1)) ![y](//e) `code` | **b** ||",
    '=HYPERLINK("http://evil","x")',
    "+1+1",
    "-2+3",
    "@SUM(A1:A9)",
    "_nolegend_",
    "Größe çà ñ λ ≥ 中文 🎉 ﷽",
    r"\$x\$ \\ \\\$",
)
TURNED = "\u202eevil\u202c \x07\x1b[31m"  # direction of writing, a bell and a colour: no name, but perhaps a reason


def write(folder: Path, world: SimpleNamespace, about: str) -> SimpleNamespace:
    """Writes the files of a sweep about "labels" or "captions" in which every text that may be free is one of NAMES."""
    made = world.grid(2) if about == "labels" else world.captioned.grid(2)
    like = [row for row in made if row["proportion"] == 1.0][:2]
    rows = [
        row
        | {
            "trial_id": f"{place:02d}-{row['proportion']}-{row['seed']}",
            "system": system,
            "dataset": NAMES[0],
            "xi": "",
        }
        | {"device": NAMES[0], "git_sha": NAMES[1], "mlflow_run_id": NAMES[2], "elbo": -12.5}
        for place, system in enumerate(NAMES)
        for row in like
    ]
    world.lose(rows[1], "failed", f"{NAMES[0]} {NAMES[7]} {TURNED}")
    sweep = world.write(folder, rows) if about == "labels" else world.write_captioned(folder, rows, images=3)
    _foul(sweep.gallery / "sweep.json", pictures=_pictures(sweep.gallery, rows), dataset=NAMES[0])
    if about == "captions":
        _foul_captions(sweep.gallery / "captions.json")
    else:
        _write_predictions(folder / "predictions.csv.gz", rows, world)
    world.write_evidence(sweep.evidence)
    for path in sweep.evidence.glob("*.csv"):
        text = path.read_text(encoding="utf-8")
        path.write_text(text.replace("nvil,", f'"{NAMES[8]}",').replace("gumbel,", '"<b>x</b>",'), encoding="utf-8")
    _foul(sweep.evidence / "search" / "mnist-5k" / "alexnet.json", system="alexnet")
    path = sweep.evidence / "search" / "mnist-5k" / "alexnet.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    names = {"learning_rate": NAMES[0], "dropout": NAMES[8]}
    facts |= {key: {names[name]: own for name, own in facts[key].items()} for key in ("space", "chosen", "importances")}
    path.write_text(json.dumps(facts), encoding="utf-8")
    table = sweep.evidence / "search" / "mnist-5k" / "alexnet.csv"
    text = table.read_text(encoding="utf-8")
    text = text.replace("params_learning_rate", '"params_' + NAMES[0].replace('"', '""') + '"')
    table.write_text(text.replace("params_dropout", f'"params_{NAMES[8]}"'), encoding="utf-8")
    return sweep


def _write_predictions(path: Path, rows: list[dict[str, object]], world: SimpleNamespace) -> None:
    """Writes the predictions of as many classes as there are NAMES, which they are called by."""
    world.write_predictions(path, rows, classes=len(NAMES))
    head, *lines = csv.reader(io.StringIO(gzip.decompress(path.read_bytes()).decode()))
    text = io.StringIO()
    csv.writer(text).writerows([head, *([line[0], line[1], NAMES[int(line[1])], *line[3:]] for line in lines)])
    path.write_bytes(gzip.compress(text.getvalue().encode()))


def _pictures(gallery: Path, rows: list[dict[str, object]]) -> list[dict[str, object]]:
    """Returns a picture whose file is called like an attribute."""
    file = f'" onerror="{RAN}" x=".png'
    header = (
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\x9cc`\0\0\0\2\0\1H\xaf\xa4q"
    )
    (gallery / file).write_bytes(header + b"\0\0\0\0IEND\xaeB`\x82")
    facts = {key: rows[0][key] for key in ("trial_id", "system", "proportion", "xi")}
    return [facts | {"file": file, "kind": NAMES[7], "caption": f"{NAMES[0]} {TURNED}"}]


def _foul(path: Path, **kept: object) -> None:
    """Replaces every text in a JSON file by one of NAMES, but for the keys that are given."""

    def foul(value: object, place: int = 0) -> object:
        if isinstance(value, dict):
            return {key: foul(own, place + at) for at, (key, own) in enumerate(value.items())}
        if isinstance(value, list):
            return [foul(own, place + at) for at, own in enumerate(value)]
        return NAMES[place % 9] if isinstance(value, str) else value

    facts = foul(json.loads(path.read_text(encoding="utf-8")))
    assert isinstance(facts, dict)
    if "versions" in facts:
        facts |= {section: {NAMES[1]: NAMES[2], NAMES[7]: NAMES[6]} for section in ("versions", "machine")}
    path.write_text(json.dumps(facts | kept), encoding="utf-8")


def _foul_captions(path: Path) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    content["chosen"] = NAMES[1]
    for image in content["images"]:
        image["references"] = [f"{name} {TURNED}" for name in NAMES]
        for place, caption in enumerate(image["said"]):
            caption["text"] = NAMES[place % len(NAMES)]
    path.write_text(json.dumps(content), encoding="utf-8")
