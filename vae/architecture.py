"""Table 2 as data, and the sizes that follow from it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """One layer: `dictionary_size` elements of `kernel` × `kernel`, pooled in `pooling` × `pooling` blocks
    (1 where the layer has no pooling)."""

    dictionary_size: int
    kernel: int
    pooling: int = 1


@dataclass(frozen=True)
class Sizes:
    """Sides of one layer's square maps, in values: what it reads, after a valid convolution, and after pooling
    with the odd map padded up."""

    input: int
    conv: int
    pooled: int


@dataclass(frozen=True)
class Architecture:
    """A row of Table 2: images of `side` × `side` × `channels`, its layers from the image up, and the
    datasets that the row is for."""

    name: str
    side: int
    channels: int
    layers: tuple[Layer, ...]
    datasets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for number, (layer, sizes) in enumerate(zip(self.layers, self.sizes, strict=True), start=1):
            if sizes.conv < 1:
                raise ValueError(
                    f"architecture {self.name!r}: layer {number}'s {layer.kernel}×{layer.kernel} elements do not fit "
                    f"its {sizes.input}×{sizes.input} input"
                )

    @property
    def sizes(self) -> tuple[Sizes, ...]:
        """Sides of every layer's maps, from the image up."""
        found, side = [], self.side
        for layer in self.layers:
            conv = side - layer.kernel + 1
            found.append(Sizes(side, conv, -(-conv // layer.pooling)))
            side = found[-1].pooled
        return tuple(found)

    @property
    def pooling_layers(self) -> list[int]:
        """The layers that pool, counted from the image, from 0."""
        return [index for index, layer in enumerate(self.layers) if layer.pooling > 1]

    @property
    def code_shape(self) -> tuple[int, int, int]:
        """(K_L, n, n): the code has one map per element of the top dictionary."""
        side = self.sizes[-1].pooled
        return (self.layers[-1].dictionary_size, side, side)

    @property
    def values(self) -> int:
        """N_X, the number of values in an image."""
        return self.side * self.side * self.channels


def _row(name: str, side: int, channels: int, layers: str, *datasets: str) -> Architecture:
    """A row written as the paper writes it: '30x8/3 80x6' is 30 × 8² pooled 3 × 3, then 80 × 6² unpooled."""
    parsed = []
    for text in layers.split():
        size, _, rest = text.partition("x")
        kernel, _, pooling = rest.partition("/")
        parsed.append(Layer(int(size), int(kernel), int(pooling or 1)))
    return Architecture(name, side, channels, tuple(parsed), datasets)


TABLE2: dict[str, Architecture] = {
    row.name: row
    for row in (
        _row("mnist", 28, 1, "30x8/3 80x6", "mnist", "mnist-5k", "fashion-mnist"),
        _row("cifar-10", 32, 3, "48x5/2 128x5/2 128x5", "cifar-10", "folder", "shapes", "emoji"),
        _row("cifar-100", 32, 3, "48x5/2 128x5/2 128x5", "cifar-100"),
        _row("caltech-101", 128, 3, "48x7/4 84x5/2 84x5", "caltech-101"),
        _row("caltech-256", 128, 3, "48x7/4 128x5/2 128x5", "caltech-256"),
        _row("imagenet", 256, 3, "96x5/4 256x5/2 512x5/2 1024x5/2 512x5", "imagenet-2012"),
        _row("flickr8k", 256, 3, "48x5/4 84x5/2 128x5/2 192x5/2 128x5", "flickr8k"),
        _row("flickr30k", 256, 3, "48x5/4 84x5/2 128x5/2 384x5/2 256x5", "flickr30k"),
        _row("coco", 256, 3, "48x5/4 84x5/2 128x5/2 512x5/2 384x5", "coco-2014"),
    )
}


def architecture_named(name: str) -> Architecture:
    """The row of Table 2 of that name.

    Raises:
        KeyError: no such row; the message lists the known ones.
    """
    if name not in TABLE2:
        raise KeyError(f"unknown architecture {name!r}: Table 2 has {', '.join(TABLE2)}")
    return TABLE2[name]


def architecture_for(dataset: str) -> Architecture:
    """The row of Table 2 that is for `dataset`.

    Raises:
        KeyError: no row is for it; the message lists the rows to choose from.
    """
    for row in TABLE2.values():
        if dataset in row.datasets:
            return row
    raise KeyError(f"Table 2 has no row for dataset {dataset!r}: name one of {', '.join(TABLE2)}")
