"""The architectures of Table 2 of the supplement, and the sizes of maps and codes that follow from them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Layer:
    """One layer: `dictionary_size` elements of `kernel` × `kernel`, pooled in blocks of `pooling` × `pooling`.

    `pooling` is 1 for a layer without pooling.
    """

    dictionary_size: int
    kernel: int
    pooling: int = 1


@dataclass(frozen=True)
class Sizes:
    """The sides of one layer's square maps: its input, after the valid convolution, and after pooling.

    A map that the blocks do not divide is padded up, so its last block is short.
    """

    input: int
    conv: int
    pooled: int


@dataclass(frozen=True)
class Architecture:
    """A row of Table 2: the shape of its images, `side` × `side` × `channels`, its layers and its datasets.

    Layers are listed from the image up.

    Raises:
        ValueError: an element is larger than the map that its layer reads.
    """

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
        """The sides of every layer's maps, from the image up."""
        sizes, side = [], self.side
        for layer in self.layers:
            conv = side - layer.kernel + 1
            sizes.append(Sizes(side, conv, -(-conv // layer.pooling)))
            side = sizes[-1].pooled
        return tuple(sizes)

    @property
    def pooling_layers(self) -> list[int]:
        """The indices of the layers that pool; layer 0 reads the image."""
        return [index for index, layer in enumerate(self.layers) if layer.pooling > 1]

    @property
    def code_shape(self) -> tuple[int, int, int]:
        """The shape of a code, (K_L, n, n): one n × n map per element of the top dictionary."""
        side = self.sizes[-1].pooled
        return (self.layers[-1].dictionary_size, side, side)

    @property
    def fan_in(self) -> int:
        """The number of values that a filter reads, in the layer where that is greatest."""
        channels = (self.channels, *(layer.dictionary_size for layer in self.layers))
        return max(maps * layer.kernel**2 for maps, layer in zip(channels, self.layers, strict=False))

    @property
    def values(self) -> int:
        """N_X, the number of values in an image."""
        return self.side * self.side * self.channels

    @property
    def map_values(self) -> int:
        """The number of values in an image and in all maps that the encoder convolves from it, before pooling."""
        maps = zip(self.layers, self.sizes, strict=True)
        return self.values + sum(layer.dictionary_size * sizes.conv**2 for layer, sizes in maps)


def _row(name: str, side: int, channels: int, layers: str, *datasets: str) -> Architecture:
    """Parses a row: '30x8/3 80x6' is 30 elements of 8 × 8, pooled 3 × 3, then 80 of 6 × 6 without pooling."""
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
    """Returns the row of Table 2 with that name.

    Raises:
        KeyError: there is no such row; the message lists the known ones.
    """
    if name not in TABLE2:
        raise KeyError(f"unknown architecture {name!r}: Table 2 has {', '.join(TABLE2)}")
    return TABLE2[name]


def architecture_for(dataset: str) -> Architecture:
    """Returns the row of Table 2 for `dataset`.

    Raises:
        KeyError: no row is for it; the message lists the rows to choose from.
    """
    for row in TABLE2.values():
        if dataset in row.datasets:
            return row
    raise KeyError(f"Table 2 has no row for dataset {dataset!r}: name one of {', '.join(TABLE2)}")
