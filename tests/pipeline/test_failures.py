"""Failed trials in the pipeline: DVC never takes them for a success, and the report shows what there is."""

import pytest

from tests.pipeline.stand_in import StandIn

SWEEP = "experiments run --complete"


pytestmark = pytest.mark.slow


@pytest.fixture
def place(tmp_path):
    return StandIn(tmp_path)


def test_failures_are_not_kept_as_a_success(place):
    (place.folder / "cause").touch()
    said = place.make("repro", code=2)
    assert "some trials are not done" in said
    assert "failed" in place.text("reports/index.html")
    assert SWEEP in place.calls()

    place.make("repro", code=2)
    assert SWEEP in place.calls(), "the promised second try"

    (place.folder / "cause").unlink()
    place.run("python", "-m", "experiments", "run")
    assert "done" in place.text("experiments/results.csv")
    place.make("repro")
    assert "done" in place.text("experiments/results.csv")
    assert "done" in place.text("reports/index.html")

    place.calls()
    assert "up to date" in place.make("repro")
    assert place.calls() == ["experiments check"]
