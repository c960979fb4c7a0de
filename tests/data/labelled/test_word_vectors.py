"""Word vectors: read from files when splits are made, kept with the splits, and read again when the file changes."""

from __future__ import annotations

import gzip
import json
import os
import struct
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data import __main__ as command_line
from data import catalog
from data.errors import UserError
from data.labelled import word_vectors as vectors
from data.labelled.splits import Splits, split
from data.labelled.text import Vocabulary
from data.labelled.word_vectors import WordVectors, spellings
from data.prepared.prepare import prepare
from data.prepared.store import ImageStore
from data.remote.push_pull import pull_dataset, push_dataset
from tests.data.word2vec import FILE, as_binary, as_text

VOCABULARY = Vocabulary(
    ("<end>", "<unknown>", "a", "dog", "paris", "t-shirt", "new-york", "isn't", "zebra"), (0, 0, 8, 4, 3, 2, 1, 1, 1), 1
)
EXPECTED = [None, None, "a", "dog", "Paris", "T_shirt", "New_York", "isn’t", None]  # by number
WAYS = {
    "binary": as_binary(FILE),
    "binary, as gensim writes it": as_binary(FILE, b""),
    "text": as_text(FILE),
    "text, as word2vec.c writes it": as_text(FILE, " \n"),
    "binary.gz": gzip.compress(as_binary(FILE)),
    "text.gz": gzip.compress(as_text(FILE)),
}


def wanted(content, expected):
    size = len(next(iter(content.values())))
    return np.array([content.get(word, [0.0] * size) for word in expected], dtype=np.float32)


@pytest.fixture
def at(tmp_path):
    def write(content: bytes, name: str = "vectors.bin") -> Path:
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return write


@pytest.mark.parametrize("name", ["vectors.bin", "vectors.txt", "vectors.bin.gz", "vectors"])  # none of them is asked
@pytest.mark.parametrize("way", WAYS)
def test_both_formats_compressed_or_not(at, way, name, capfd):
    found = WordVectors.of(VOCABULARY, at(WAYS[way], name))
    assert found.values.dtype == np.float32
    assert np.array_equal(found.values, wanted(FILE, EXPECTED))
    assert found.known.tolist() == [word is not None for word in EXPECTED]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("size", [1, 2, 50])
@pytest.mark.parametrize("write", [as_text, as_binary])
def test_other_dimensions(at, write, size):
    content = {"dog": [0.5 + i for i in range(size)], "zebra": [-1.0] * size}
    found = WordVectors.of(VOCABULARY, at(write(content)))
    assert np.array_equal(found.values, wanted(content, [*[None] * 3, "dog", *[None] * 4, "zebra"]))


def test_a_binary_vector_may_hold_a_line_break_and_digits(at):
    newline = struct.unpack("<f", b"1\n2\n")[0]
    found = WordVectors.of(VOCABULARY, at(as_binary({"dog": [newline, 1.0], "zebra": [newline, newline]})))
    assert found.values[3].tolist() == [newline, 1.0]
    assert found.values[8].tolist() == [newline, newline]


def test_a_word_that_comes_twice_counts_first(at, capfd):
    content = as_text({"dog": [1.0], "cat": [2.0]}) + b"dog 3.0\n"
    found = WordVectors.of(VOCABULARY, at(content.replace(b"2 1\n", b"3 1\n")))
    assert found.values[3] == 1.0
    assert capfd.readouterr() == ("", "")


def test_a_few_words_cut_within_a_letter_do_no_harm(at):
    broken = as_text({"dog": [1.0, 2.0], "caf\u00e9": [3.0, 4.0]}).replace("é".encode(), b"\xc3")
    assert WordVectors.of(VOCABULARY, at(broken)).known.sum() == 1


def test_spellings():
    assert list(spellings("dog")) == ["dog", "Dog"]
    assert list(spellings("new-york")) == ["new-york", "New-york", "new_york", "New_york", "New_York"]
    assert list(spellings("isn't"))[:4] == ["isn't", "Isn't", "isn’t", "Isn’t"]


def test_coverage(at):
    found = WordVectors.of(VOCABULARY, at(WAYS["text"]))
    assert found.coverage(VOCABULARY) == pytest.approx((6 / 7, 19 / 20))


def test_what_is_saved_is_read(at, tmp_path):
    found = WordVectors.of(VOCABULARY, at(WAYS["text"]))
    found.save(tmp_path)
    read = WordVectors.open(tmp_path)
    assert np.array_equal(read.values, found.values)
    assert np.array_equal(read.known, found.known)
    np.savez(tmp_path / "vectors.npz", values=found.values, known=found.known[1:])
    with pytest.raises(ValueError, match="no word vectors"):
        WordVectors.open(tmp_path)


GLOVE = as_text(FILE).split(b"\n", 1)[1]
WRONG = {
    "no header": (GLOVE, r"not a file of word2vec vectors: its first line must be .*GloVe"),
    "empty": (b"", "not a file of word2vec vectors"),
    "empty archive": (gzip.compress(b""), "not a file of word2vec vectors"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(1000), "not a file of word2vec vectors"),
    "three numbers": (b"1 2 3\n", "not a file of word2vec vectors"),
    "no words": (b"0 3\n", r"damaged.*0 words of 3 dimensions"),
    "other dimensions": (as_text(FILE, header="9 4"), r"damaged.*says 4 dimensions, its first vector has 3"),
    "text that breaks off": (as_text(FILE)[:-40], "damaged"),
    "text with fewer words": (as_text(FILE, header="10 3"), "damaged.*unexpected end"),
    "text with a long line": (as_text(FILE).replace(b"dog", b"dog 1"), "damaged"),
    "text with a letter": (as_text(FILE).replace(b"1.5", b"l.5"), "damaged"),
    "binary that breaks off": (as_binary(FILE)[:-5], "damaged"),
    "binary with fewer words": (as_binary(FILE, header="10 3"), "damaged"),
    "binary of many words": (as_binary(FILE, header="3000000 300"), r"damaged.*too few for 3,000,000 words"),
    "binary of fewer dimensions": (as_binary(FILE, header="9 2"), r"damaged.*words are no text"),
    "archive that breaks off": (gzip.compress(as_binary(FILE))[:-20], "damaged"),
    "archive with a wrong byte": (gzip.compress(as_binary(FILE))[:-6] + b"\xff" * 6, "damaged"),
    "no numbers": (as_text(FILE).replace(b"1.5", b"nan"), r"damaged.*not numbers"),
    "other words": (as_text({"hund": [1.0], "katze": [2.0]}), r"knows none of the 7 words .*data\.word_vectors"),
}


@pytest.mark.parametrize("what", WRONG)
def test_wrong_files_are_one_message_that_names_them(at, what):
    content, told = WRONG[what]
    file = at(content)
    with pytest.raises(UserError, match=told) as caught:
        WordVectors.of(VOCABULARY, file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_memory_that_is_not_there_is_told(at):
    file = at(gzip.compress(b"9 1000000000000000\n"))
    with pytest.raises(UserError, match=r"does not fit into this machine's memory: its vectors of 9 words"):
        WordVectors.of(VOCABULARY, file)


@pytest.mark.parametrize("order", [["isn’t", "isn't"], ["isn't", "isn’t"], ["Isn't", "isn't", "Isn’t"]])
def test_of_several_spellings_the_likeliest_counts_wherever_it_stands(at, order):
    content = {word: [float(number)] for number, word in enumerate(order)}
    found = WordVectors.of(VOCABULARY, at(as_text(content)))
    assert found.values[7].tolist() == content["isn't"]


@pytest.fixture
def captioned(tmp_path):
    """A prepared folder of captioned pictures: (dataset, root)."""
    pictures, root = tmp_path / "pictures", tmp_path / "d"
    pictures.mkdir()
    said = ["a dog", "a dog in paris", "a zebra", "a t-shirt"]
    rows = ["path,captions"]
    for number in range(40):
        Image.new("RGB", (8, 8), (number * 6, 0, 0)).save(pictures / f"{number}.png")
        rows.append(f"{number}.png,{said[number % 4]}")
    (pictures / "images.csv").write_text("\n".join(rows) + "\n")
    dataset = catalog.sized(catalog.get("folder"), 8, 3)
    from data.official.download import download

    download(dataset, root, pictures)
    prepare(dataset, root)
    return dataset, root


def opened(dataset, root):
    return Splits.open(root / "splits" / dataset.name)


def test_a_split_keeps_vectors_and_takes_them_into_its_fingerprint(captioned, at):
    dataset, root = captioned
    assert split(dataset, 1, root, 1)
    plain = opened(dataset, root)
    assert plain.vectors is None
    assert "word_vectors" not in json.loads((plain.folder / "meta.json").read_text())
    file = at(WAYS["binary"])
    assert split(dataset, 1, root, 1, file)
    splits = opened(dataset, root)
    rows = [f if f in FILE else f.capitalize().replace("-", "_") for f in splits.vocabulary.words[2:]]
    assert np.array_equal(splits.vectors.values, wanted(FILE, [None, None, *rows]))
    assert splits.vectors is splits.vectors
    assert splits.fingerprint(0, 0.5) != plain.fingerprint(0, 0.5)
    assert str(file.parent) not in (splits.folder / "meta.json").read_text()
    assert not split(dataset, 1, root, 1, file)
    assert split(dataset, 1, root, 1)  # none are asked for any more
    assert opened(dataset, root).fingerprint(0, 0.5) == plain.fingerprint(0, 0.5)
    assert not (splits.folder / "vectors.npz").exists()


def test_another_file_is_noticed(captioned, at):
    dataset, root = captioned
    file = at(WAYS["binary"])
    split(dataset, 2, root, 1, file)
    first = opened(dataset, root).fingerprint(0, 0.5)
    other = at(as_binary(FILE | {"dog": [0.0, 0.0, 1.0]}), "other.bin")
    assert split(dataset, 1, root, 1, other)
    second = opened(dataset, root)
    assert second.repetitions == 2
    assert second.fingerprint(0, 0.5) != first
    os.utime(other, ns=(1, 1))
    assert split(dataset, 1, root, 1, other)
    assert opened(dataset, root).fingerprint(0, 0.5) == second.fingerprint(0, 0.5)  # the same vectors
    other.write_bytes(WAYS["text"])
    assert split(dataset, 1, root, 1, other)
    assert opened(dataset, root).fingerprint(0, 0.5) == first


def test_more_repetitions_do_not_read_the_file_again(captioned, at, monkeypatch):
    dataset, root = captioned
    file = at(WAYS["binary"])
    split(dataset, 1, root, 1, file)
    before = (root / "splits" / dataset.name / "vectors.npz").read_bytes()

    def never(*_arguments):
        raise AssertionError

    with monkeypatch.context() as patch:
        patch.setattr(vectors, "read_vectors", never)
        assert split(dataset, 3, root, 1, file)
    assert (root / "splits" / dataset.name / "vectors.npz").read_bytes() == before
    assert split(dataset, 3, root, 11, file)  # other words
    splits = opened(dataset, root)
    assert splits.vocabulary.words[2:] == ("a", "dog")
    assert np.array_equal(splits.vectors.values[2:], wanted(FILE, ["a", "dog"]))


def test_a_wrong_file_leaves_the_splits_as_they_were(captioned, at, tmp_path):
    dataset, root = captioned
    split(dataset, 1, root, 1, at(WAYS["binary"]))
    before = opened(dataset, root).fingerprint(0, 0.5)
    with pytest.raises(UserError, match="damaged"):
        split(dataset, 1, root, 1, at(WAYS["binary"][:-9], "broken.bin"))
    with pytest.raises(UserError, match=r"nowhere\.bin is not a file: .*--word-vectors .*data\.word_vectors"):
        split(dataset, 1, root, 1, tmp_path / "nowhere.bin")
    assert opened(dataset, root).fingerprint(0, 0.5) == before


def test_damage_is_told(captioned, at):
    dataset, root = captioned
    split(dataset, 1, root, 1, at(WAYS["binary"]))
    path = root / "splits" / dataset.name / "vectors.npz"
    good = path.read_bytes()
    for damage in (good[:100], b"", good.replace(struct.pack("<f", 1.5), struct.pack("<f", 1.25))):
        path.write_bytes(damage)
        with pytest.raises(UserError, match=r"vectors\.npz is not what was written.*data split"):
            opened(dataset, root)
    path.write_bytes(good)
    splits = opened(dataset, root)
    path.write_bytes(good[:100])  # once they were opened
    with pytest.raises(UserError, match=r"vectors\.npz is damaged .*split again"):
        _ = splits.vectors
    path.unlink()
    with pytest.raises(UserError, match=r"is damaged .*No such file or directory.*vectors\.npz"):
        opened(dataset, root)
    assert split(dataset, 1, root, 1, at(WAYS["binary"]))  # mended
    assert path.read_bytes() == good


def test_labels_have_no_words(toy, tmp_path, at):
    from data.official.download import download

    root = tmp_path / "d"
    download(toy.dataset, root, toy.folder)
    prepare(toy.dataset, root)
    with pytest.raises(UserError, match=r"toy has labels, no captions: .*leave it out"):
        split(toy.dataset, 1, root, word_vectors=at(WAYS["binary"]))
    split(toy.dataset, 1, root)
    assert Splits.open(root / "splits" / "toy").vectors is None


def test_vectors_go_along_to_other_machines(captioned, at, tmp_path):
    dataset, root = captioned
    split(dataset, 1, root, 1, at(WAYS["binary"]))
    push_dataset(dataset.name, root, str(tmp_path / "shared"))
    pull_dataset(dataset.name, str(tmp_path / "shared"), tmp_path / "e")
    here, there = opened(dataset, root), opened(dataset, tmp_path / "e")
    assert np.array_equal(there.vectors.values, here.vectors.values)
    assert there.fingerprint(0, 0.5) == here.fingerprint(0, 0.5)


def test_the_command_line_says_what_is_known(captioned, at, monkeypatch, capsys):
    dataset, root = captioned
    file = at(WAYS["text"], "vectors.txt")
    splitting = ["split", dataset.name, "--repetitions", "1", "--minimum-count", "1", "--root", str(root)]

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["data", *splitting, *map(str, words)])
        with pytest.raises(SystemExit) as caught:
            command_line.main()
        return caught.value.code or 0, *capsys.readouterr()

    code, out, err = run("--word-vectors", file)
    assert (code, err) == (0, "")
    splits = opened(dataset, root)
    train = ImageStore.open(root / "processed" / dataset.name).captions
    said = [word for image in splits.train for caption in train[image] for word in caption.split()]
    share = sum(word in ("a", "dog", "paris", "t-shirt") for word in said) / len(said)
    assert out.splitlines()[-1] == f"word vectors: 4 of 6 words ({100 * share:.1f} % of all that is said)"
    code, out, _ = run("--word-vectors", file)
    assert (code, "were there already" in out, "word vectors: 4 of 6 words" in out) == (0, True, True)
    code, out, _ = run()
    assert (code, "word vectors" in out) == (0, False)
    code, out, err = run("--word-vectors", file.parent / "nowhere.bin")
    assert (code, out) == (2, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
