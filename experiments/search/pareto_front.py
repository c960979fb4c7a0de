"""The Pareto front of accuracy against cost: the settings that no other one beats in both."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.search.protocol import Setting

Point = tuple[float, float]  # accuracy in percent, cost in operations


def dominates(one: Point, other: Point) -> bool:
    """Returns whether `one` is at least as accurate and as cheap as `other`, and better in one of the two."""
    return one[0] >= other[0] and one[1] <= other[1] and one != other


def front(settings: Sequence[Setting]) -> list[Setting]:
    """Returns the completed settings that no other one dominates, the cheapest first. Equal ones are all kept."""
    points = {setting.number: point for setting in settings if (point := point_of(setting))}
    beaten = {number for number, point in points.items() if any(dominates(other, point) for other in points.values())}
    left = [setting for setting in settings if setting.number in points.keys() - beaten]
    return sorted(left, key=lambda setting: (points[setting.number][1], setting.number))


def point_of(setting: Setting) -> Point | None:
    """Returns accuracy and cost of a completed setting, None for any other."""
    if setting.state != "complete" or setting.score is None or setting.cost is None:
        return None
    return setting.score, setting.cost


def knee(settings: Sequence[Setting]) -> Setting | None:
    """Returns the setting of a front beyond which accuracy gets expensive, or None where there is no such one.

    It is the setting farthest above the line from the cheapest to the most accurate one, each axis scaled to the ends
    of that line.
    """
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

    top = max(settings, key=above)
    return top if above(top) > 1e-9 else None
