from urllib.parse import urlsplit

import pytest

from data import catalog
from data.errors import UserError
from data.formats import contract as formats
from data.official.mirrors import FETCHERS
from vae.architecture import architecture_for


def test_unknown_dataset_lists_the_known_ones():
    with pytest.raises(UserError, match=r"'mnits'.*fashion-mnist, .*mnist, mnist-5k"):
        catalog.get("mnits")


def test_two_rows_of_one_name_are_an_error():
    row = catalog.get("mnist")
    with pytest.raises(ValueError, match="two datasets are named 'mnist'"):
        catalog._table((row, row))


@pytest.mark.parametrize("name", sorted(catalog.CATALOG))
def test_every_row_is_consistent(name):
    row = catalog.get(name)
    assert row.name == name
    assert row.format in formats.FORMATS.names()
    assert row.tree is None or row.tree in formats.FORMATS.names()
    assert len({file.role for file in row.files}) == len(row.files)
    for file in row.files:
        assert row.addresses(file) or row.manual
        assert file.size or not row.addresses(file)  # a transfer has to know when it is whole
        for address in row.addresses(file):
            assert urlsplit(address).scheme in FETCHERS
            assert file.name in address
        for checksum in (file.checksum, *([file.content.checksum] if file.content else [])):
            algorithm, _, digest = checksum.partition(":")
            assert len(digest) == {"sha256": 64, "md5": 32}[algorithm]
            assert set(digest) <= set("0123456789abcdef")
    assert row.files or row.manual
    assert row.licence
    assert row.citation


@pytest.mark.parametrize("name", sorted(catalog.CATALOG))
def test_every_part_of_every_row_has_room(name):
    row = catalog.get(name)
    if row.images is None or isinstance(row.test, float):
        assert 0 < row.validation + row.test < 0.5
        return
    classes = row.classes if isinstance(row.classes, int) else len(row.classes)
    assert row.images - row.validation - row.test >= classes
    assert min(row.validation, row.test) > 0
    assert set(row.official) <= {"validation", "test"}


def test_images_are_as_large_as_the_paper_s_architectures():
    for row in catalog.CATALOG.values():
        architecture = architecture_for(row.name)
        assert row.shape == (architecture.side, architecture.side, architecture.channels)


def test_a_whole_address_stands_as_it_is():
    row = catalog.get("caltech-101")
    (address,) = row.addresses(row.files[0])
    assert address.endswith("caltech-101.zip?download=1")
    assert catalog.get("cifar-10").addresses(catalog.get("cifar-10").files[0]) == [
        "https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz"
    ]


def test_only_a_folder_of_one_s_own_has_another_size():
    assert catalog.sized(catalog.get("folder"), 128, 1).shape == (128, 128, 1)
    assert catalog.sized(catalog.get("mnist"), None, None) == catalog.get("mnist")
    with pytest.raises(UserError, match="mnist is prepared as 28×28×1"):
        catalog.sized(catalog.get("mnist"), 32, None)
    with pytest.raises(UserError, match="--channels 2"):
        catalog.sized(catalog.get("folder"), None, 2)


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_idx_sizes_follow_from_the_format(name):
    # 16 bytes of header and 784 per image; 8 bytes of header and one per label
    row = catalog.get(name)
    assert [file.content.size for file in row.files] == [
        16 + 784 * 60_000,
        8 + 60_000,
        16 + 784 * 10_000,
        8 + 10_000,
    ]
