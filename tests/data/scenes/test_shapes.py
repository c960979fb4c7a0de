"""Drawn scenes: their captions are checked against their pixels by an independent reader of pictures.

The reader finds objects by their colours and takes for their shape the one that fits the pixels best. It has its own
geometry of shapes, in floating point.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import pickle
import re
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from data import catalog
from data.__main__ import main
from data.errors import UserError
from data.formats.contract import Laborious
from data.formats.shapes import read
from data.labelled.splits import Splits, split
from data.listing import table
from data.official.download import download, official_files
from data.prepared.prepare import prepare
from data.prepared.store import ImageStore
from data.scenes.composition import scene

SHAPES = catalog.get("shapes")
# Red, green and blue.
COLOURS = {
    "red": (1, 0.2, 0.2),
    "green": (0.2, 0.8, 0.3),
    "blue": (0.2, 0.4, 1),
    "yellow": (1, 0.9, 0.2),
}
SIZES = {"large": True, "small": False}
COUNTS = {"two": 2, "three": 3, "four": 4}
SINGULAR = {"circles": "circle", "squares": "square", "triangles": "triangle"}
GREY = 30  # between the largest and the least of a pixel's three values: a ground's are closer
FAINT = 20  # how far from the ground a pixel's colour may be that is none of an object's
LEAST_LARGE = 5  # pixels; the radius between that of small and large objects
SAMPLES = 4

# --- reading a picture ---------------------------------------------------------------------------------------------


def _inside(shape, u, v):
    """Says whether points are in a shape of radius 1; v points downwards."""
    if shape == "circle":
        return np.hypot(u, v) <= 1
    if shape == "square":
        return np.maximum(abs(u), abs(v)) <= 0.8
    corner = 9 / 8
    return (v <= corner / 2) & (np.sqrt(3) * abs(u) - v <= corner)


AREAS = {"circle": np.pi, "square": 1.6**2, "triangle": 3 * np.sqrt(3) / 4 * 81 / 64}


@dataclass(frozen=True)
class Seen:
    """An object as seen in a picture: its centre, from 0 to 1, its radius in pixels, and how badly its shape fits."""

    colour: str
    shape: str
    large: bool
    x: float
    y: float
    misfit: float


def _ground(image):
    """Returns the ground, fitted to the pixels that are nearly grey: a plane for each colour."""
    rows, columns = np.indices(image.shape[:2])
    plane = np.stack([np.ones_like(rows), rows, columns], axis=-1).astype(float)
    grey = np.ptp(image, axis=2) < GREY
    found = [np.linalg.lstsq(plane[grey], image[grey][:, colour], rcond=None)[0] for colour in range(3)]
    return np.stack([plane @ one for one in found], axis=-1)


def seen(pixels):
    """Returns the objects seen in a picture, uint8 [32, 32, 3]."""
    image = pixels.astype(float)
    off = image - _ground(image)
    far = np.linalg.norm(off, axis=2)
    clear = (far > FAINT) & (far > 0.4 * ndimage.maximum_filter(far, 3))  # of edges, only what is rather object
    labels, count = ndimage.label(clear, structure=np.ones((3, 3)))
    sizes = ndimage.sum_labels(np.ones_like(far), labels, range(1, count + 1))
    assert min(sizes) >= 5, "a crumb of an object"
    _, (rows, columns) = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    nearest = labels[rows, columns]
    return [_object(image, off, nearest == label) for label in range(1, count + 1)]


def _object(image, off, here):
    """The one object whose pixels are all among those that are `here`."""
    strength = np.where(here, np.linalg.norm(off, axis=2), 0)
    strongest = np.unravel_index(np.argmax(strength), strength.shape)
    share = np.where(here, off @ off[strongest] / (off[strongest] @ off[strongest]), 0).clip(0, 1)
    share[share < 0.04] = 0
    paint = image[strongest] / image[strongest].max()
    colour = min(COLOURS, key=lambda name: np.linalg.norm(paint - COLOURS[name]))
    rows, columns = np.indices(share.shape) + 0.5
    area = share.sum()
    y, x = (rows * share).sum() / area, (columns * share).sum() / area
    fits = {}
    for shape, turn in itertools.product(AREAS, np.radians([0, -6, 6])):
        if turn and shape == "circle":
            continue
        fits[shape, turn] = abs(share - _rendered(shape, x, y, np.sqrt(area / AREAS[shape]), turn)).sum() / area
    shape, turn = min(fits, key=fits.get)
    large = np.sqrt(area / AREAS[shape]) > LEAST_LARGE
    return Seen(colour, shape, bool(large), x / 32, y / 32, fits[shape, turn])


def _rendered(shape, x, y, radius, turn):
    """Returns how much of each pixel a shape covers, [32, 32]."""
    at = (np.arange(32 * SAMPLES) + 0.5) / SAMPLES
    across, down = (at - x)[None, :] / radius, (at - y)[:, None] / radius
    u, v = np.cos(turn) * across + np.sin(turn) * down, np.cos(turn) * down - np.sin(turn) * across
    return _inside(shape, u, v).reshape(32, SAMPLES, 32, SAMPLES).mean(axis=(1, 3))


# --- reading a caption ---------------------------------------------------------------------------------------------

SIZE, COLOUR, SHAPE = f"(?:({'|'.join(SIZES)}) )?", f"({'|'.join(COLOURS)})", f"({'|'.join(AREAS)})"
OBJECT = f"a {SIZE}{COLOUR} {SHAPE}"
PLACES = (
    *("in the top left", "at the top", "in the top right"),
    *("on the left", "in the middle", "on the right"),
    *("in the bottom left", "at the bottom", "in the bottom right"),
)
PLACE = f"({'|'.join(PLACES)})"
RELATIONS = {"to the left of": "to the right of", "above": "below"}  # and the other way round
RELATION = f"({'|'.join([*RELATIONS, *RELATIONS.values()])})"
PATTERNS = {
    "one": re.compile(f"(?:there is )?{OBJECT} {PLACE}"),
    "turned": re.compile(f"{PLACE} there is {OBJECT}"),
    "alone": re.compile(f"a picture of {OBJECT}"),
    "two": re.compile(f"(?:there is )?{OBJECT} {RELATION} {OBJECT}"),
    "and": re.compile(f"a picture of {OBJECT} and {OBJECT}"),
    "several": re.compile(f"(?:there are |a picture of )?({'|'.join(COUNTS)}) {SIZE}{COLOUR} ({'|'.join(SINGULAR)})"),
}


def _meant(objects, size, colour, shape):
    """Returns the objects that the words describe."""
    return [
        one
        for one in objects
        if (one.colour, one.shape) == (colour, shape) and (size is None or one.large == SIZES[size])
    ]


def _third(at):
    return min(2, int(3 * at))


def _is_at(one, place):
    words = place.split()
    row = 0 if "top" in words else 2 if "bottom" in words else 1
    column = 0 if "left" in words else 2 if "right" in words else 1
    return (_third(one.y), _third(one.x)) == (row, column)


def _stand(one, other, relation):
    """Says whether one object clearly is where the relation puts it, seen from the other."""
    right, down = other.x - one.x, other.y - one.y
    along, aside = {
        "to the left of": (right, down),
        "to the right of": (-right, down),
        "above": (down, right),
        "below": (-down, right),
    }[relation]
    return along > 0.2 and abs(aside) < along / 2


def true(caption, objects):
    """Says whether a caption can be parsed and is true of those objects."""
    for kind, pattern in PATTERNS.items():
        found = pattern.fullmatch(caption)
        if not found:
            continue
        said = found.groups()
        if kind == "turned":
            said, kind = (*said[1:], said[0]), "one"
        if kind in ("one", "alone"):
            meant = _meant(objects, *said[:3])
            return len(objects) == len(meant) == 1 and (kind == "alone" or _is_at(meant[0], said[3]))
        if kind == "several":
            meant = _meant(objects, *said[1:3], SINGULAR[said[3]])
            return len(objects) == len(meant) == COUNTS[said[0]]
        one, other = _meant(objects, *said[:3]), _meant(objects, *said[-3:])
        if not len(one) == len(other) == 1 or len(objects) != 2 or one == other:
            return False
        relations = RELATIONS if kind == "and" else (said[3],)  # the left or upper one is named first
        return any(_stand(one[0], other[0], relation) for relation in relations)
    return False


def sentences():
    """Returns every possible caption."""
    shorts = [f"{colour} {shape}" for colour in COLOURS for shape in AREAS]
    fulls = [f"{size} {short}" for size in SIZES for short in shorts]
    for full, place in itertools.product(fulls, PLACES):
        yield from (f"a {full} {place}", f"there is a {full} {place}", f"{place} there is a {full}")
    yield from (f"a {short} {place}" for short in shorts for place in PLACES)
    yield from (f"a picture of a {full}" for full in fulls)
    for one, other in itertools.product(fulls, fulls):
        yield f"a picture of a {one} and a {other}"
        for relation, inverse in RELATIONS.items():
            yield from (f"a {one} {relation} a {other}", f"a {other} {inverse} a {one}")
    for one, relation, other in itertools.product(shorts, RELATIONS, shorts):
        yield from (f"a {one} {relation} a {other}", f"there is a {one} {relation} a {other}")
    for count, full in itertools.product(COUNTS, fulls):
        yield from (f"{count} {full}s", f"there are {count} {full}s", f"a picture of {count} {full}s")
    yield from (f"{start}{count} {short}s" for start in ("", "there are ") for count in COUNTS for short in shorts)


# --- what is said and drawn ----------------------------------------------------------------------------------------


def check(number):
    made = scene(number)
    objects = seen(made.drawn())
    assert len(objects) == len(made.marks), number
    for one in objects:
        assert one.misfit < 0.3, (number, one)
    for caption in made.captions:
        assert true(caption, objects), (number, caption, objects)


@pytest.mark.parametrize("first", range(0, 240, 40))
def test_every_caption_is_true_of_the_pixels(first):
    for number in range(first, first + 40):
        check(number)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**40))
def test_captions_of_any_scene_are_true(number):
    check(number)


@pytest.mark.parametrize(
    "caption",
    [
        "a large red circle in the top right",  # elsewhere
        "a large blue circle in the top left",  # another colour
        "a large red square in the top left",  # another shape
        "a small red circle in the top left",  # another size
        "two large red circles",  # another number
        "a red circle above a red square",  # with another
        "the red circle",  # no caption
    ],
)
def test_the_reader_itself_sees_what_is_false(caption):
    objects = [Seen("red", "circle", True, 0.2, 0.2, 0.0)]
    assert true("a large red circle in the top left", objects)
    assert not true(caption, objects)


def test_captions_are_five_differently_worded_ones_from_few_words():
    captions = [scene(number).captions for number in range(600)]
    assert {(len(some), len(set(some))) for some in captions} == {(5, 5)}
    words = {word for some in captions for caption in some for word in caption.split()}
    assert len(words) == 34


def test_a_true_caption_is_always_among_the_references():
    every = list(sentences())
    for number in range(25):
        made = scene(number)
        objects = seen(made.drawn())
        assert sorted(caption for caption in every if true(caption, objects)) == sorted(made.captions), number


def test_every_kind_of_scene_comes_often():
    scenes = [scene(number) for number in range(600)]
    counts = [sum(len(one.marks) == count for one in scenes) for count in (1, 2, 3, 4)]
    assert min(counts) >= 20
    assert sum(counts) == 600


def test_bytes_are_the_same_everywhere():
    digest = hashlib.sha256()
    for number in (*range(12), 2**40):
        made = scene(number)
        digest.update(made.drawn().tobytes())
        digest.update(json.dumps(made.captions).encode())
    # Another digest is another data set: raise data.scenes.composition.VERSION with it.
    assert digest.hexdigest() == "2759a996b1338b8dce9969070319ae4545c58b64dea578b8264950ae86a2b72f"


# --- as a dataset --------------------------------------------------------------------------------------------------


def examples(images):
    contents = read(replace(SHAPES, images=images), {}, None)
    assert all(isinstance(shard, Laborious) for shard in contents.shards)
    return [one for shard in pickle.loads(pickle.dumps(contents.shards)) for one in shard.examples()]


def test_the_first_of_many_are_the_same():
    few, many = examples(40), examples(300)
    assert (len(few), len(many)) == (40, 300)
    assert [one.captions for one in few] == [one.captions for one in many[:40]]
    assert np.array_equal([one.image for one in few], [one.image for one in many[:40]])
    assert len({one.image.tobytes() for one in many}) == 300


@pytest.mark.parametrize("images", [30, 256, 257, 100_000, 1_281_167])
def test_any_number_is_shared_out_in_shards_of_a_size(images):
    shards = read(replace(SHAPES, images=images), {}, None).shards
    assert sum(shard.count for shard in shards) == images
    assert {shard.part for shard in shards} == {"train"}
    assert max(shard.count for shard in shards) <= max(256, -(-images // 64))
    assert [shard.first for shard in shards] == [0, *itertools.accumulate(shard.count for shard in shards[:-1])]


def test_another_number_is_prepared_and_split_anew(tmp_path):
    folders = tmp_path / "processed" / "shapes", tmp_path / "splits" / "shapes"
    for images, parts in ((60, (40, 10, 10)), (90, (60, 15, 15)), (60, (40, 10, 10))):
        row = catalog.sized(SHAPES, None, None, images)
        assert prepare(row, tmp_path)
        assert not prepare(row, tmp_path)
        assert split(SHAPES, 1, tmp_path, minimum=1)
        assert not split(SHAPES, 1, tmp_path, minimum=1)
        store, splits = ImageStore.open(folders[0]), Splits.open(folders[1])
        assert len(store.labels) == images
        assert tuple(map(len, (splits.train, splits.validation, splits.test))) == parts


def test_an_older_drawing_is_made_again(tmp_path):
    row = catalog.sized(SHAPES, None, None, 30)
    assert prepare(replace(row, drawn=SHAPES.drawn - 1), tmp_path)
    assert prepare(row, tmp_path)
    assert not prepare(row, tmp_path)


def test_by_default_two_thirds_are_trained_on(tmp_path):
    line = next(line for line in table(tmp_path).splitlines() if line.startswith("shapes"))
    assert "2,000/500/500" in line
    assert "drawn here" in line


def test_nothing_is_downloaded(tmp_path):
    assert download(SHAPES, tmp_path) == []
    assert list((tmp_path / "raw" / "shapes").iterdir()) == []
    assert official_files(SHAPES, tmp_path).files == {}
    with pytest.raises(UserError, match=r"shapes has no official files, .*leave out --source .*data.source to null"):
        download(SHAPES, tmp_path, tmp_path)


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Runs `python -m data …` in this process: exit code, stdout and stderr."""

    def go(*words):
        monkeypatch.setattr("sys.argv", ["data", *map(str, words), "--root", str(tmp_path)])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code or 0, *capsys.readouterr()

    return go


def test_by_the_commands(run):
    code, out, _ = run("download", "shapes")
    assert (code, out) == (0, "shapes: nothing to download: its images are drawn by `prepare`\n")
    assert run("prepare", "shapes", "--images", 60)[0] == 0
    assert run("split", "shapes", "--repetitions", 2)[0] == 0
    code, out, _ = run("list", "shapes")
    assert "here: prepared 60, split×2" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("prepare", "shapes", "--images", 5), "--images 5: at least 30 are needed"),
        (("prepare", "shapes", "--images", -1), "--images -1: at least 30 are needed"),
        (("prepare", "mnist", "--images", 500), "--images 500: mnist has the images that it has"),
        (("prepare", "folder", "--images", 500), "only those that are drawn here are as many as you like (shapes)"),
        (("prepare", "shapes", "--side", 64), "shapes is prepared as 32×32×3"),
    ],
)
def test_mistakes_are_told(run, words, message):
    code, _, err = run(*words)
    assert code == 2
    assert message in err
