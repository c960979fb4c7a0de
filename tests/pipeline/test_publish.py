"""`make publish`: a report that was made whole, and can be made again."""

import stat

import pytest

from tests.pipeline.stand_in import StandIn

TABLES = ("results.csv", "averaging.csv", "subsets.csv", "predictions.csv.gz", "sweep.json")


@pytest.fixture
def place(tmp_path):
    made = StandIn(tmp_path)
    published = tmp_path / "reports/published"
    (published / "shapes").mkdir(parents=True)
    (published / "README.md").write_text("how it was made")
    made.run("python", "-m", "experiments", "run")
    for path in (tmp_path / "experiments").rglob("*.*"):
        path.chmod(0o444)  # as DVC leaves what it has in its cache
    return made


@pytest.mark.parametrize("to", ["", "shapes"])
def test_a_report_is_published_again_over_the_last_one(place, to):
    published = place.folder / "reports/published" / to
    place.make("publish", f"TO={to}")
    (published / "tables/old.csv").write_text("of other results")
    place.make("publish", f"TO={to}")
    for name in TABLES:
        assert stat.S_IMODE((published / name).stat().st_mode) == 0o644, name
    assert "done" in (published / "results.csv").read_text()
    assert [path.name for path in (published / "tables").iterdir()] == ["a"]
    assert (place.folder / "reports/published/README.md").is_file()
    assert (place.folder / "reports/published/shapes").is_dir()


def test_a_report_that_cannot_be_made_leaves_the_published_one(place):
    place.make("publish")
    (place.folder / "cause").touch()
    place.run("python", "-m", "experiments", "run")
    (place.folder / "experiments/subsets.csv").unlink()
    place.make("publish", code=2)
    published = place.folder / "reports/published"
    assert all("done" in (published / name).read_text() for name in ("results.csv", "tables/a", "index.html"))
