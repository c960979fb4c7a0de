"""What Table 1 says of its own accord beside the numbers."""

from types import SimpleNamespace

from reports.artefacts.table1 import narrowed
from reports.names import name_systems

NAMES = name_systems(["alexnet", "googlenet", "pseudo", "bsvm"])


def told(settings):
    return narrowed(SimpleNamespace(params={"settings": settings}), NAMES)


def test_networks_that_are_not_as_wide_as_published_are_named():
    settings = {"alexnet": {"width": 0.25}, "googlenet": {"width": 0.25}, "pseudo": {"width": 1.0}, "bsvm": {}}
    assert told(settings) == ["AlexNet, GoogLeNet: 0.25 times the published number of channels."]
    assert told({"alexnet": {"width": 0.5}, "googlenet": {"width": 2}}) == [
        "AlexNet: 0.5 times the published number of channels.",
        "GoogLeNet: 2 times the published number of channels.",
    ]


def test_settings_that_say_nothing_of_widths_add_nothing():
    assert told({"alexnet": {"width": 1.0}, "unknown": {"width": 0.5}}) == []
    assert told(None) == told({"alexnet": 3}) == told({"alexnet": {"width": "wide"}}) == []
