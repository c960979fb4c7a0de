"""The user's own pictures, and ImageNet as a tree of folders: correct and faulty layouts."""

from __future__ import annotations

import json
import unicodedata

import pytest

from data.errors import UserError
from data.formats import contract as formats
from tests.data import official_files as official


@pytest.fixture
def tree(tmp_path):
    return tmp_path / "mine"


@pytest.fixture(scope="module")
def row(tmp_path_factory):
    """The catalog row for such a folder."""
    return official.make("folder", tmp_path_factory.mktemp("elsewhere"))


@pytest.fixture
def read(row, tree, tmp_path):
    """Returns a function that reads the folder as it is when called."""

    def read_():
        contents = formats.FORMATS.get("folder")(row, {"tree": tree}, tmp_path / "unpacked")
        return contents.classes, [example for shard in contents.shards for example in shard.examples()]

    return read_


def lay(tree, *paths):
    """Writes files whose content is their path."""
    for path in paths:
        (tree / path).parent.mkdir(parents=True, exist_ok=True)
        (tree / path).write_bytes(path.encode())


def folders(tree, *names, count=3):
    lay(tree, *(f"{name}/{number}.png" for name in names for number in range(count)))


def table(tree, text, name="images.csv"):
    tree.mkdir(exist_ok=True)
    (tree / name).write_text(text, encoding="utf-8")


def test_folders_and_pictures_are_sorted_by_code_point_on_every_system(tree, read):
    folders(tree, "b", "Z", "a", "é")
    lay(tree, "a/10.PNG", "a/.hidden.png", "a/Thumbs.db", "notes.md", ".git/x.png", "__MACOSX/x.png")
    decomposed = unicodedata.normalize("NFD", "à")  # as some systems name it: "a" and an accent
    folders(tree, decomposed)
    classes, examples = read()
    assert classes == ("Z", "a", "b", "à", "é")
    assert [e.name for e in examples if e.label == 1] == ["a/0.png", "a/1.png", "a/10.PNG", "a/2.png"]
    assert all(unicodedata.normalize("NFC", e.name).startswith(classes[e.label] + "/") for e in examples)
    assert all(e.image.decode() == e.name for e in examples)


@pytest.mark.parametrize("suffix", ["jpg", "JPEG", "png", "bmp", "gif", "webp", "tiff", "ppm"])
def test_whatever_can_be_decoded_is_a_picture(tree, read, suffix):
    lay(tree, *(f"a/{number}.{suffix}" for number in range(3)))
    assert len(read()[1]) == 3


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        (lambda t: folders(t, "Cat", "cat"), "'Cat' and 'cat' have one name"),
        (lambda t: folders(t, "caf\u00e9", "cafe\u0301"), "'café' and 'café' have one name"),
        (lambda t: folders(t, "\u00e9", "e\u0301"), "'é' and 'é' have one name"),
        (lambda t: (folders(t, "a"), (t / "b").mkdir()), "class 'b' has 0 pictures; 3 are the least"),
        (lambda t: folders(t, "a", "b") or lay(t, "b/x.heic"), r"b/x.heic is not a picture by its name \(.bmp, "),
        (lambda t: folders(t, "a", "b") or lay(t, "b/picture"), "b/picture is not a picture by its name"),
        (lambda t: (folders(t, "a"), folders(t, "b", count=2)), "class 'b' has 2 pictures; 3 are the least"),
        (lambda t: (folders(t, "a"), lay(t, "1.jpg")), r"1.jpg is in no class's folder"),
        (lambda t: folders(t, "train/cat", "train/dog"), r"train has a folder in it, cat"),
        (lambda t: t.mkdir(), "neither a table, images.csv or images.jsonl, nor a folder"),
        (lambda t: None, "cannot look into .*mine"),
        (lambda t: (table(t, ""), table(t, "", "images.jsonl")), "two tables, images.csv and images.jsonl"),
    ],
)
def test_folders_that_are_no_dataset_are_told_so(tree, read, layout, message):
    layout(tree)
    with pytest.raises(UserError, match=message) as caught:
        read()
    assert str(tree) in str(caught.value)


PICTURES = [f"p/{number}.png" for number in range(6)]


@pytest.fixture
def pictures(tree):
    lay(tree, *PICTURES, "../outside.png")
    return tree


def test_a_table_of_labels(pictures, read):
    lines = [f"./{path},{' dog' if number % 2 else 'cat'}" for number, path in enumerate(PICTURES)]
    table(pictures, "\ufeffpath,label\n" + "\n".join(reversed(lines)) + "\n")
    classes, examples = read()
    assert classes == ("cat", "dog")
    assert [(e.name, e.label, e.image) for e in examples] == [
        (f"p/{number}.png", number % 2, f"p/{number}.png".encode()) for number in (0, 2, 4, 1, 3, 5)
    ]


@pytest.mark.parametrize("name", ["images.csv", "images.jsonl"])
def test_a_table_of_captions(pictures, read, name):
    captions = [("A cat.",), ("A, b", 'says "c"'), ("x", "y", "z"), ("ü",)]
    if name.endswith("csv"):
        lines = ["path,captions", "p/0.png,A cat.", 'p/1.png,"A, b| says ""c"" |"', "p/2.png,x|y|z", "p/3.png,ü"]
    else:
        lines = [json.dumps({"path": f"p/{i}.png", "captions": some}) for i, some in enumerate(captions)] + [""]
    table(pictures, "\n".join(lines) + "\n", name)
    classes, examples = read()
    assert classes == ()
    assert [(e.name, e.label, e.captions) for e in examples] == [
        (f"p/{i}.png", None, c) for i, c in enumerate(captions)
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\np/0.png,a\np/9.png,a\n", r"images.csv, line 3: there is no file 'p/9.png'"),
        ("path,label\np,a\n", "line 2: there is no file 'p'"),
        ("path,label\n../outside.png,a\n", r"line 2: '../outside.png' leads out of the folder"),
        ("path,label\np/../../outside.png,a\n", "line 2: .* leads out of the folder"),
        ("path,label\np/link.png,a\n", "line 2: .* leads out of the folder"),
        ("path,label\n/etc/passwd,a\n", "line 2: '/etc/passwd' leads out"),
        ("path,colour\np/0.png,a\n", "line 2: unknown column 'colour'; known are path, label, captions"),
        ("path,label\np/0.png,a,b\n", "line 2: unknown column None"),
        ("path,label\np/0.png\n", "line 2: it must have either a label or captions"),
        ("path,label,captions\np/0.png,a,b\n", "line 2: it must have either"),
        ("path,label,captions\np/0.png,a,\np/1.png,,b\n", "line 3: some rows have labels, others captions"),
        ("path,captions\np/0.png, | \n", "line 2: it must have either"),
        ("label\na\n", "line 2: it has no path"),
        ("path,label\np/0.png,a\n./p//0.png,a\n", "line 3: './p//0.png' is in the table twice; also in .*line 2"),
        ("path,label\n" + "".join(f"p/{i}.png,{'aA'[i % 2]}\n" for i in range(6)), "'A' and 'a' have one name"),
        ("path,label\n" + "".join(f"p/{i}.png,{'ab'[i < 2]}\n" for i in range(6)), "class 'b' has 2 pictures"),
        ("path,captions\np/0.png,a\np/1.png,b\n", "has 2 pictures; 3 are the least"),
        ("path,label\n", "images.csv has no rows"),
        ("", "images.csv has no rows"),
        ('path,label\np/0.png,"a\n', "images.csv, near line 1"),
    ],
)
def test_spoilt_tables_are_named_with_their_line(pictures, read, text, message):
    (pictures / "p" / "link.png").symlink_to(pictures.parent / "outside.png")
    table(pictures, text)
    with pytest.raises(UserError, match=message):
        read()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "images.jsonl, near line 2: "),
        ('{"path": "p/0.png", "captions": "one"}', 'line 2: captions must be a list of texts, not "one"'),
        ('{"path": "p/0.png", "captions": 0}', "line 2: captions must be a list of texts, not 0"),
        ('{"path": "p/0.png", "captions": {}}', r"line 2: captions must be a list of texts, not \{\}"),
        ('{"path": "p/0.png", "captions": [1]}', 'line 2: a caption must be text, not 1: write it as text, "1"'),
        ('{"path": "p/0.png", "label": 3}', 'line 2: label must be text, not 3: write it as text, "3"'),
        ('{"path": "p/0.png", "label": 0}', 'line 2: label must be text, not 0: write it as text, "0"'),
        ('{"path": "p/0.png", "label": false}', 'line 2: label must be text, not false: write it as text, "false"'),
        ('{"path": "p/0.png", "label": []}', r"line 2: label must be text, not \[\]"),
        ('{"path": 0, "label": "a"}', "line 2: path must be text, not 0"),
        ('{"path": "p/0.png", "label": null}', "line 2: it must have either a label or captions"),
        ('{"path": "p/0.png", "label": "\\ud800"}', "line 2: label has half a character in it"),
        ('{"path": ' + "[" * 10**5, "near line 2: "),
        ('{"path": "p\\u0000", "label": "a"}', r"line 2: 'p\\x00' cannot be found"),
        ('{"path": "\\ud800", "label": "a"}', "line 2: path has half a character in it"),
        (json.dumps({"path": "x" * 5000, "label": "a"}), "line 2: .* cannot be found"),
        ('{"path": "p/0.png", "class": "x"}', "line 2: unknown column 'class'"),
        ("[1]", "line 2: unknown column ''"),
    ],
)
def test_spoilt_lines_of_json_are_named(pictures, read, line, message):
    table(pictures, '{"path": "p/1.png", "label": "a"}\n' + line + "\n", "images.jsonl")
    with pytest.raises(UserError, match=message):
        read()


def test_a_table_that_is_no_text_is_named(pictures, read):
    (pictures / "images.csv").write_bytes(b"path,label\n\xff\xfe,a\n")
    with pytest.raises(UserError, match=r"images\.csv, near line 1.*utf-8"):
        read()


# --- ImageNet as a tree ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("imagenet-2012-tree", lambda t: (t / "train").rename(t / "training"), r"no folder train or ILSVRC/.*/train"),
        ("imagenet-2012-tree", lambda t: (t / "val").rename(t / "vals"), "no folder val or validation"),
        (
            "imagenet-2012-tree",
            lambda t: (t / "val/n01440764").rename(t / "val/n9"),
            "val/n9 is the folder of no class",
        ),
        ("imagenet-2012-tree", lambda t: (t / "val/n9").mkdir(), "val/n9 is the folder of no class"),
        ("imagenet-2012-tree", lambda t: (t / "train/n9").mkdir(), "train/n9 has no pictures"),
        ("imagenet-2012-tree", lambda t: (t / "train/n01440764/n01440764_4.JPEG").unlink(), "has 23 images"),
        ("imagenet-2012-kaggle", lambda t: (t / "LOC_val_solution.csv").unlink(), "cannot read .*LOC_val_solution.csv"),
        (
            "imagenet-2012-kaggle",
            lambda t: (t / "LOC_val_solution.csv").write_text("ImageId,PredictionString\n"),
            "LOC_val_solution.csv has no row for .*ILSVRC2012_val_00000001.JPEG",
        ),
        (
            "imagenet-2012-kaggle",
            lambda t: (t / "LOC_val_solution.csv").write_text("ImageId,PredictionString\nx,n9 1 2 3 4\n"),
            "the class 'n9' of x is none",
        ),
        (
            "imagenet-2012-kaggle",
            lambda t: (t / "LOC_val_solution.csv").write_text("ImageId,PredictionString\nx,\n"),
            "lacks the columns ImageId and PredictionString in some",
        ),
        (
            "imagenet-2012-kaggle",
            lambda t: (t / "LOC_val_solution.csv").write_text("a,b\n1,2\n"),
            "lacks the columns",
        ),
    ],
)
def test_spoilt_trees_of_imagenet_are_named(tmp_path, name, spoil, message):
    dataset = official.make(name, tmp_path / "tree")
    spoil(tmp_path / "tree")
    with pytest.raises(UserError, match=message):
        formats.FORMATS.get("imagenet-tree")(dataset, {"tree": tmp_path / "tree"}, tmp_path / "unpacked")


def test_the_folder_of_validation_images_may_be_called_so(tmp_path):
    dataset = official.make("imagenet-2012-tree", tmp_path)
    (tmp_path / "val").rename(tmp_path / "validation")
    contents = formats.FORMATS.get("imagenet-tree")(dataset, {"tree": tmp_path}, tmp_path / "unpacked")
    assert sum(shard.count for shard in contents.shards if shard.part == "test") == 6


def test_a_picture_that_is_gone_by_the_time_it_is_read_is_named(row, tree):
    folders(tree, "a")
    contents = formats.FORMATS.get("folder")(row, {"tree": tree}, tree.parent)
    (tree / "a" / "1.png").unlink()
    with pytest.raises(UserError, match=r"cannot read .*a/1\.png"):
        list(contents.shards[0].examples())
