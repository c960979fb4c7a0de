"""The registry: one more file is one more artefact, in its place, and no name twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from reports.artefacts import contract


def test_every_file_of_the_folder_registers_and_the_page_has_an_order():
    files = {path.stem for path in Path(contract.__file__).parent.glob("*.py")} - {"__init__", "contract"}
    known = list(contract.makers())
    assert set(known) == files
    assert known.index("introduction") < known.index("table1") < known.index("figure1") < known.index("published")


def test_a_name_taken_twice_is_an_error():
    contract.makers()

    def table1(sources):
        return contract.Artefact()

    with pytest.raises(ValueError, match="two artefacts are named 'table1'"):
        contract.register(place=1)(table1)
