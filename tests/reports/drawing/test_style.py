"""A system has one look, and figures have no date."""

from __future__ import annotations

import pytest
from PIL import Image

from reports.drawing import style as drawing
from reports.names import name_systems


def test_a_system_looks_the_same_whatever_it_stands_beside():
    everyone = name_systems(["alexnet", "googlenet", "bsvm", "softmax", "mine"])
    alone = name_systems(["softmax", "mine"])
    assert alone["softmax"] == everyone["softmax"]
    assert alone["mine"].place == everyone["mine"].place == 17


def test_files_carry_no_date_and_are_200_dots_an_inch(report):
    assert b"<dc:date>" not in (report / "figures" / "figure1.svg").read_bytes()
    assert b"CreationDate" not in (report / "figures" / "figure1.pdf").read_bytes()
    png = Image.open(report / "figures" / "figure1.png")
    assert png.info["dpi"] == pytest.approx((200, 200), abs=0.1)
    assert png.width == round(drawing.WIDTH * 200)
