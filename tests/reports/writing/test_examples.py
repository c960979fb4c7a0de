"""Words of a caption that no reference has are marked."""

from __future__ import annotations

from reports.writing.examples import parts, words


def test_words_without_a_reference_are_marked():
    references = ["A red circle, in the middle.", "One well-lit disc"]
    assert parts("a red Square in well-lit grass", references) == [
        ("a red ", False),
        ("Square", True),
        (" in well-lit ", False),
        ("grass", True),
    ]
    assert parts("the middle", references) == [("the middle", False)]
    assert parts("", references) == []
    assert words("It’s well-lit, 3 of them!") == ["it's", "well-lit", "3", "of", "them"]
