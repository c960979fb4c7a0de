"""The command that runs a benchmark by its name."""

import re
from pathlib import Path

import pytest

from benchmarks.__main__ import FOLDER, described, main

ROOT = Path(__file__).parents[2]


def test_all_benchmarks_are_listed_with_what_they_do(capsys):
    with pytest.raises(SystemExit) as ended:
        main([])
    assert ended.value.code == 0
    listed = capsys.readouterr().out
    for name, what in described().items():
        assert re.search(rf"^  {name} +{re.escape(what)}$", listed, re.MULTILINE)
        assert what
    assert {"gpu", "stacked", "training_step"} <= described().keys()


@pytest.mark.parametrize("name", ["nothing", "autoencoders"])
def test_what_is_no_benchmark_is_refused(name, capsys):
    with pytest.raises(SystemExit) as ended:
        main([name])
    assert ended.value.code == 2
    assert "usage: python -m benchmarks NAME" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [["--device", "quantum"], ["--parts", "nothing"], ["--minutes", "0"], ["--minutes", "nan"], ["--out", __file__]],
)
def test_wrong_arguments_of_gpu_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(["gpu", *arguments])
    assert ended.value.code == 2
    assert "python -m benchmarks gpu: error: " in capsys.readouterr().err


def test_make_and_the_pages_name_benchmarks_that_exist():
    pages = [ROOT / "Makefile", *(ROOT / "docs").glob("*.md"), *FOLDER.rglob("*.py")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    named = set(re.findall(r"-m benchmarks ([a-z_]+)", text))
    assert "gpu" in named
    assert named <= described().keys()
