"""The command line of `python -m experiments`: its options, versions and start-up."""

import errno
import re
import subprocess
import sys

import pytest
import typer

from experiments import __main__ as commands
from experiments.__main__ import app

SETTINGS = {"run", "submit", "plan", "status", "trial", "search", "study", "check", "data", "sync"}
BOTH_PLACES = SETTINGS - {"check", "data"}


def options_of(name):
    command = typer.main.get_command(app).commands[name]
    return {option for parameter in command.params for option in parameter.opts if option.startswith("--")}


def test_every_command_with_settings_takes_changes_of_them():
    names = set(typer.main.get_command(app).commands)
    assert {name for name in names if "--params" in options_of(name)} == SETTINGS
    assert {name for name in names if "--set" in options_of(name)} == SETTINGS
    assert {name for name in names if {"--store", "--data"} <= options_of(name)} == BOTH_PLACES
    assert names - SETTINGS == {"log"}


@pytest.mark.parametrize("package", ["data", "experiments", "reports", "vae"])
def test_versions_are_printed(package):
    command = [sys.executable, "-m", package, "--version"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"vae-images-labels-captions \S+.*, Python 3\.\d+\.\d+\S*, torch \S+\n", out)


def test_help_and_versions_import_nothing_heavy():
    code = (
        "import sys; from experiments.__main__ import app\n"
        "for option in ('--help', '--version'):\n"
        "    try: app([option])\n"
        "    except SystemExit: pass\n"
        "sys.exit(', '.join({'torch', 'ray', 'mlflow', 'numpy', 'pydantic'} & set(sys.modules)) or 0)"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)


def test_the_program_is_called_as_it_was_started(tmp_path):
    module = subprocess.run([sys.executable, "-m", "experiments", "--help"], capture_output=True, text=True, check=True)
    assert "python -m experiments [OPTIONS]" in module.stdout
    assert "--install-completion" not in module.stdout
    script = tmp_path / "vae-experiments"
    script.write_text("from experiments.__main__ import main\nmain()\n")
    started = subprocess.run(
        [sys.executable, str(script), "--help"], capture_output=True, text=True, check=True, env={"PYTHONPATH": "."}
    )
    assert "vae-experiments [OPTIONS]" in started.stdout
    assert "--install-completion" in started.stdout


def test_a_full_disk_is_one_message(monkeypatch, capsys):
    def full():
        raise OSError(errno.ENOSPC, "No space left on device", "experiments/results.csv")

    monkeypatch.setattr(commands, "app", lambda **_: full())
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert "experiments/results.csv: No space left on device" in err
    assert "finished trials are safe" in err


@pytest.mark.parametrize(("statuses", "code"), [(["done", "done"], 0), (["done", "failed"], 1), (["missing"], 1)])
def test_a_sweep_that_is_to_be_complete_says_by_its_exit_code_whether_it_is(world, main, monkeypatch, statuses, code):
    def finished(*_):
        world.results.parent.mkdir()
        world.results.write_text("\n".join(["trial_id,status", *(f"{i},{each}" for i, each in enumerate(statuses))]))
        return True

    monkeypatch.setattr("experiments.sweep.run.run_sweep", finished)
    assert main("run", "--complete") == (code, "", "" if not code else main_error(statuses))


def main_error(statuses):
    left = sum(status != "done" for status in statuses)
    return f"error: {left} trials are not done; what is done is kept, and `python -m reports` shows it\n"
