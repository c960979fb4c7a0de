from urllib.parse import urlsplit

import pytest

from data import catalog
from data.download import FETCHERS
from data.errors import DataError
from data.formats import contract as formats


def test_unknown_dataset_lists_the_known_ones():
    with pytest.raises(DataError, match=r"'mnits'.*fashion-mnist, mnist, mnist-5k"):
        catalog.get("mnits")


def test_two_rows_of_one_name_are_an_error():
    row = catalog.get("mnist")
    with pytest.raises(ValueError, match="two datasets are named 'mnist'"):
        catalog._table((row, row))


@pytest.mark.parametrize("name", sorted(catalog.CATALOG))
def test_every_row_is_consistent(name):
    row = catalog.get(name)
    assert row.name == name
    assert row.format in formats.names()
    assert row.images - row.validation - row.test >= len(row.classes)
    assert len(set(row.classes)) == len(row.classes)
    assert len({file.role for file in row.files}) == len(row.files)
    assert row.mirrors
    for mirror in row.mirrors:
        assert urlsplit(mirror).scheme in FETCHERS
        assert mirror.endswith("/")
    for file in row.files:
        for checksum in (file.checksum, file.content_checksum):
            algorithm, _, digest = checksum.partition(":")
            assert len(digest) == {"sha256": 64, "md5": 32}[algorithm]
            assert set(digest) <= set("0123456789abcdef")
    assert row.licence
    assert row.citation


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_idx_sizes_follow_from_the_format(name):
    # 16 bytes of header and 784 per image; 8 bytes of header and one per label
    row = catalog.get(name)
    assert [file.content_size for file in row.files] == [
        16 + 784 * 60_000,
        8 + 60_000,
        16 + 784 * 10_000,
        8 + 10_000,
    ]
