"""Table 2's sizes, against the published table with its sizes worked out."""

from pathlib import Path

import pandas as pd
import pytest

from vae.architecture import TABLE2, Architecture, Layer, architecture_for, architecture_named

PUBLISHED = pd.read_csv(Path(__file__).parents[2] / "reports" / "paper" / "table2.csv")
ROWS = {
    "MNIST": "mnist",
    "CIFAR-10": "cifar-10",
    "CIFAR-100": "cifar-100",
    "Caltech 101": "caltech-101",
    "Caltech 256": "caltech-256",
    "ImageNet": "imagenet",
    "Flickr8k": "flickr8k",
    "Flickr30k": "flickr30k",
    "MS COCO": "coco",
}


def test_every_published_row_is_there():
    assert set(PUBLISHED.dataset) == set(ROWS)
    assert set(ROWS.values()) == set(TABLE2)


@pytest.mark.parametrize(("published", "name"), ROWS.items())
def test_sizes_are_the_published_ones(published, name):
    architecture = architecture_named(name)
    rows = PUBLISHED[PUBLISHED.dataset == published].sort_values("layer")
    assert len(rows) == len(architecture.layers)
    for row, layer, sizes in zip(rows.itertuples(), architecture.layers, architecture.sizes, strict=True):
        assert (layer.dictionary_size, layer.kernel) == (row.dictionary_size, row.kernel)
        assert layer.pooling == (1 if pd.isna(row.pooling) else row.pooling)
        assert (sizes.input, sizes.conv, sizes.pooled) == (row.input_size, row.conv_size, row.pooled_size)


@pytest.mark.parametrize(
    ("name", "code"),
    [("mnist", (80, 2, 2)), ("cifar-10", (128, 1, 1)), ("caltech-101", (84, 10, 10)), ("imagenet", (512, 1, 1))],
)
def test_code_shapes(name, code):
    assert TABLE2[name].code_shape == code


def test_unknown_names_list_the_known():
    with pytest.raises(KeyError, match="mnist, cifar-10"):
        architecture_named("mnits")
    with pytest.raises(KeyError, match="no row for dataset 'birds'"):
        architecture_for("birds")


def test_elements_larger_than_their_input_are_refused():
    with pytest.raises(ValueError, match="layer 2's 6×6 elements do not fit its 2×2 input"):
        Architecture("small", 8, 1, (Layer(4, 5, 2), Layer(4, 6)))
