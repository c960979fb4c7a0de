"""A terminal, pipe or log that does not take every letter: ξ, ≈ and the like are written out, and nothing fails."""

import importlib
import io
import sys

import pytest


@pytest.fixture
def ascii_output(monkeypatch):
    """Runs a command of a package with an output of ASCII alone; returns its exit code and all that it wrote."""

    def run(package, *arguments):
        streams = {name: io.TextIOWrapper(io.BytesIO(), encoding="ascii") for name in ("stdout", "stderr")}
        for name, stream in streams.items():
            monkeypatch.setattr(sys, name, stream)
        monkeypatch.setattr(sys, "argv", [package, *arguments])
        code = 0
        try:
            importlib.import_module(f"{package}.__main__").main()
        except SystemExit as stop:
            code = stop.code
        for stream in streams.values():
            stream.flush()
        return code, "".join(stream.buffer.getvalue().decode() for stream in streams.values())

    return run


@pytest.mark.parametrize(
    ("package", "arguments", "shown"),
    [
        ("experiments", ["--help"], "Trials and sweeps"),
        ("experiments", ["trial", "--help"], "--xi"),
        ("experiments", ["check"], "in order"),
        ("experiments", ["check", "--set", "dataset=漢"], r"dataset = '\u6f22'"),
        ("experiments", ["status"], r"\u03be"),
        ("experiments", ["plan"], r"\u2248"),
        ("data", ["--help"], "from official files"),
        ("data", ["list"], "mnist-5k"),
        ("data", ["list", "漢"], r"\u6f22"),
        ("vae", ["--help"], "variational"),
        ("vae", ["caption", "a.png", "--trial", "a", "--store", "漢"], r"\u6f22"),
        ("reports", ["--help"], "results of a sweep"),
        ("reports", ["--results", "漢.csv"], r"\u6f22"),
    ],
)
def test_letters_that_an_output_does_not_take_are_written_out(world, ascii_output, package, arguments, shown):
    world.params(default={"systems": ["toy-bounded"]})
    code, text = ascii_output(package, *arguments)
    assert code == (2 if "漢" in " ".join(arguments) else 0), text
    assert shown in text
