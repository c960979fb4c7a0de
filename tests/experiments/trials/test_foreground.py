"""One trial as a command, in one process."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from experiments.settings.config import load
from experiments.trial_store.layout import Layout
from experiments.trials.grid import trials

PROBE = """
import sys
import toy_systems
sys.argv = ["experiments", "trial", "--system", "toy-bounded", "--proportion", "0.1", "--seed", "1"]
from experiments.__main__ import main
try:
    main()
except SystemExit as stop:
    assert not stop.code
print(sorted({name.split(".")[0] for name in sys.modules} & {"ray", "mlflow", "pandas"}))
"""


def test_a_trial_in_process_imports_neither_ray_nor_mlflow(world):
    world.params(systems={"toy-bounded": {}})
    found = subprocess.run(
        [sys.executable, "-c", PROBE], cwd=world.folder, env=world.environment, capture_output=True, text=True
    )
    assert found.returncode == 0, found.stderr
    assert found.stdout.splitlines()[-1] == "[]"
    assert found.stdout.count("\nepoch ") == 3
    (result,) = world.store.glob("*/result.json")
    assert json.loads(result.read_text())["trial"]["seed"] == 1


def test_trial_by_identity(world, main):
    (only,) = trials(load(Path("params.yaml")), Layout())
    code, out, _ = main("trial", "--id", only.identity[:6])
    assert code == 0
    assert "top1" in out
    code, out, _ = main("trial", "--id", only.identity[:6])
    assert code == 0
    assert "done before" in out


def test_a_result_that_does_not_hold_is_told_and_the_trial_is_run_again(world, main):
    (only,) = trials(load(Path("params.yaml")), Layout())
    assert main("trial", "--id", only.identity)[0] == 0
    path = world.store / only.identity / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"top1": 400.0}))
    code, out, _ = main("trial", "--id", only.identity)
    assert code == 0
    assert f"{only.identity}/result.json: top1 = 400.0: input should be less than or equal to 100: this file" in out
    assert out.count("\nepoch ") == 3
    assert json.loads(path.read_text())["top1"] <= 100


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--system and --proportion"),
        (["--system", "toy"], "--system and --proportion"),
        (["--system", "resnet", "--proportion", "0.1"], "unknown system 'resnet'"),
        (["--system", "toy-nan", "--proportion", "0.1"], "no settings for it"),
        (["--system", "toy", "--proportion", "1.5"], "above 0 and at most 1"),
        (["--system", "toy", "--proportion", "0.1", "--xi", "3"], "does not use"),
        (["--system", "toy", "--proportion", "0.1", "--seed", "7"], "repetition 7"),
        (["--id", "zzz"], "no trial of profile"),
    ],
)
def test_a_trial_that_cannot_be_is_refused(world, main, arguments, told):
    code, _, err = main("trial", *arguments)
    assert code == 2
    assert told in err
    assert "Traceback" not in err


def test_a_failing_trial_in_process_tells_its_reason(world, main):
    world.params(systems={"toy-nan": {}})
    code, _, err = main("trial", "--system", "toy-nan", "--proportion", "0.1")
    assert code == 2
    assert "the loss is not finite (nan) in epoch 1" in err
