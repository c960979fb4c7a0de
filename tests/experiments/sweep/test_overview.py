"""What a plan says of the evidence that repetitions can give."""

import pytest

from experiments.sweep.overview import LARGE_GAP, LEVEL, what_can_be_told, what_images_can_tell
from reports.analysis import mcnemar, paired


@pytest.mark.parametrize(
    ("repetitions", "verdict"),
    [
        (1, "nothing can be told: claims need 5 repetitions"),
        (4, "nothing can be told: claims need 5 repetitions"),
        (5, "claims can be told, differences of two systems cannot: they need 6 repetitions"),
        (6, "claims and differences can be told"),
        (12, "claims and differences can be told"),
    ],
)
def test_a_plan_says_what_the_reports_tests_can_show(repetitions, verdict):
    line = what_can_be_told(repetitions)
    alike = [0.5 + seed for seed in range(repetitions)]
    claim, difference = paired.sign_flip(alike, "greater"), paired.max_t([dict(enumerate(alike))] * 9)[0]
    assert f"p is at best {claim:.2g} for a claim and {difference:.2g} for a difference" in line
    assert verdict in line
    assert (claim <= paired.LEVEL) == ("nothing" not in verdict)
    assert (difference <= paired.LEVEL) == ("and differences" in verdict)
    assert paired.LEVEL == LEVEL


@pytest.mark.parametrize(("images", "points"), [(24, "25"), (1000, "0.6"), (10_000, "0.06")])
def test_a_plan_says_what_the_test_images_can_show(images, points):
    line = what_images_can_tell(images)
    assert f"{images:,} test images: two trained models that differ by less than {points} points" in line
    assert ("too small" in line) == (float(points) > LARGE_GAP)
    fewest = round(images * float(points) / 100)
    assert mcnemar.mcnemar(fewest, 0) <= LEVEL < mcnemar.mcnemar(fewest - 1, 0)
