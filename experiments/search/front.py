"""Accuracy against cost: which settings no other one beats in both."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.search.protocol import Setting

Point = tuple[float, float]  # accuracy, cost


def dominates(one: Point, other: Point) -> bool:
    """Whether one is as accurate and as cheap at least, and better in one of them."""
    return one[0] >= other[0] and one[1] <= other[1] and one != other


def front(settings: Sequence[Setting]) -> list[Setting]:
    """Those that went through all cells and that no other one dominates, the cheapest first; of equals all."""
    points = {setting.number: point for setting in settings if (point := point_of(setting))}
    beaten = {number for number, point in points.items() if any(dominates(other, point) for other in points.values())}
    left = [setting for setting in settings if setting.number in points.keys() - beaten]
    return sorted(left, key=lambda setting: (points[setting.number][1], setting.number))


def point_of(setting: Setting) -> Point | None:
    """Accuracy and cost of a setting that went through all cells."""
    if setting.state != "complete" or setting.score is None or setting.cost is None:
        return None
    return setting.score, setting.cost


def knee(settings: Sequence[Setting]) -> Setting | None:
    """The setting of a front beyond which accuracy gets dear: the one farthest above the line from its cheapest to its
    most accurate one, each axis scaled to that line. None where none lies above it."""
    points = {setting.number: point for setting in settings if (point := point_of(setting))}
    if len(points) < 3:
        return None
    scores, costs = zip(*points.values(), strict=True)
    spans = max(scores) - min(scores), max(costs) - min(costs)
    if 0 in spans:
        return None

    def above(setting: Setting) -> float:
        score, cost = points[setting.number]
        return (score - min(scores)) / spans[0] - (cost - min(costs)) / spans[1]

    found = max(settings, key=above)
    return found if above(found) > 1e-9 else None
