"""Ray's own memory monitor ends processes where a node is short of memory: two at once cost the others nothing."""

import psutil
import pytest

from tests.experiments.searching import ask_for, read_evidence
from tests.experiments.sweeping import table

LEAST = 6  # GiB that must be free
HOARD = 12.0  # GiB, of a trial, which is ended before it has them


@pytest.fixture
def short(tracked):
    """A world whose Ray ends processes once half of the memory is taken that is free now, or 10 GiB of it."""
    memory = psutil.virtual_memory()
    if memory.available < LEAST * 2**30:
        pytest.skip(f"takes {LEAST} GiB of free memory")
    room = min(memory.available / 2, 10 * 2**30)  # no other load of the machine takes so much
    threshold = (memory.total - memory.available + room) / memory.total
    tracked.environment |= {
        "RAY_memory_usage_threshold": f"{threshold:.4f}",
        "RAY_memory_monitor_refresh_ms": "100",
    }
    return tracked


@pytest.mark.slow
def test_a_sweep_survives_that_two_processes_are_ended_at_once(short):
    short.params(
        default={"systems": ["toy-hoarding"], "repetitions": 3}, systems={"toy-hoarding": {"gibibytes": HOARD}}
    )
    out, err = short.run("run")
    assert "1 done, 2 failed" in out, err
    assert err.count("its worker process died; trying once more") >= 2
    rows = {row["seed"]: row for row in table(short.results)}
    assert rows["2"]["status"] == "done"
    for seed in "01":
        assert rows[seed]["reason"].startswith("Ray ended its worker process again, since memory was short: let fewer")
    assert "Traceback" not in out + err


@pytest.mark.slow
def test_a_search_survives_it_too(short):
    """The settings that hoard fail, the one that does not is complete. One at a time, since Ray ends the youngest."""
    spaces = {"toy-hoarding": {"gibibytes": {"choices": [0.0, HOARD]}}}
    ask_for(
        short, spaces, trials=3, proportions=[0.1], compute={"workers": 1},
        systems={"toy-hoarding": {"gibibytes": HOARD}}, default={"systems": ["toy-hoarding"]},
    )  # fmt: skip
    out, err = short.run("search", "toy-hoarding")
    rows, _ = read_evidence(short, "toy-hoarding")
    states = {row["params_gibibytes"]: row["state"] for row in rows}
    assert states == {"0.0": "complete", str(HOARD): "failed"}, out + err
    assert "its worker process died; trying once more" in err
    assert "Traceback" not in out + err
