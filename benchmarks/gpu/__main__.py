"""Checks and measures a GPU with this project: right numbers, speed, sharing and memory, within eight minutes.

    python -m benchmarks gpu                                # the GPU, or the CPU where there is none
    python -m benchmarks gpu --device cuda --out results/
    python -m benchmarks gpu --device cpu --parts agreement resuming

It needs PyTorch (with CUDA for a GPU), NumPy and pydantic; no network and no data. Its parts:

    agreement  losses, gradients and weights of every system, estimator and reading of q, against the CPU's, in float64,
               float32 and bfloat16; "holds" says whether they are as near as rounding allows
    resuming   whether a trial that resumes from a checkpoint gets the digits of one that never stopped
    rates      images a second on three rows of Table 2, in float32, TF32 and bfloat16, against the rates of a large
               matrix product (the share is the MFU) and of a copy within the device's memory
    throughput trials an hour in stacks of 1 to 64, with and without a CUDA graph, over one trial at a time; and whether
               stacks and graphs lead to the same weights
    sharing    trials an hour of 1 to 8 processes that share the device, over one process
    footprint  memory measured, against memory predicted

Each part runs in a process of its own; what fails or does not fit is named in the tables, and the others go on. The
results, gpu.json and gpu.md, are in the output folder after each part. The exit code is 1 where something failed, or
where a claim ("holds") is wrong.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.gpu.parts import PARTS
from benchmarks.gpu.report import JSON, MARKDOWN, write
from benchmarks.gpu.running import Run

MINUTES = 7.5  # for all parts; the last one may take a quarter of a minute longer


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [part.name for part in PARTS]
    found = "cuda" if torch.cuda.is_available() else "cpu"
    parser.add_argument("--device", choices=("cuda", "cpu"), default=found, help="what is measured (here: %(default)s)")
    parser.add_argument("--parts", nargs="+", choices=names, default=names, metavar="PART", help="only these parts")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="for all parts (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path(".cache/gpu"), help="the output folder (%(default)s)")
    asked = parser.parse_args()
    if asked.device == "cuda" and found != "cuda":
        parser.error("PyTorch finds no GPU here: --device cpu runs a small version on the CPU")
    if not asked.minutes > 0:
        parser.error(f"--minutes {asked.minutes:g}: must be above 0")
    try:
        asked.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        parser.error(f"--out {asked.out}: {error.strerror}")
    return asked


def main() -> None:
    """Measures, and writes both files after each part."""
    asked = _arguments()
    run = Run([part for part in PARTS if part.name in asked.parts], asked.device, 60 * asked.minutes, _tell)
    wrong = 0
    for outcome in run.outcome_of_each():
        write(asked.out, run.facts, run.outcomes, run.seconds)
        wrong += sum(row.wrong for row in outcome.rows)
    print(f"{asked.out / MARKDOWN} and {asked.out / JSON}: {wrong} cases failed or do not hold")
    raise SystemExit(1 if wrong else 0)


def _tell(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
