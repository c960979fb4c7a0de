"""The stream reader of word2vec files: it reads what gensim reads, in bounded memory."""

from __future__ import annotations

import gzip
import logging
import tracemalloc

import numpy as np
import pytest

from data.errors import UserError
from data.labelled import word2vec_files
from data.labelled.word2vec_files import Header, read_header, read_vectors
from tests.data.word2vec import FILE, as_binary, as_text

RANDOM = np.random.default_rng(5)


class Everything:
    """A container that has every word."""

    def __contains__(self, word):
        return True


EVERYTHING = Everything()


def read(path, wanted=EVERYTHING):
    """Returns the words of a file, each with its first vector."""
    first = {}
    for word, vector in read_vectors(path, read_header(path), wanted):
        first.setdefault(word, vector.copy())
    return first


def random_content(words, dimensions, letters="aäzß-_’🙂\u00a0"):
    names = {"".join(RANDOM.choice(list(letters), RANDOM.integers(1, 9))) for _ in range(words)}
    return {name: RANDOM.standard_normal(dimensions).astype(np.float32).tolist() for name in sorted(names)}


MANY = random_content(300, 50)
HARD = ["0.1", "-1e-45", "3.4028236e38", "1.00000005960464477539062500000001", "16777217", "1e-400", ".5", "+2", "1E3"]
FILES = {
    "by hand": as_text(FILE),
    "by hand, binary": as_binary(FILE),
    "many words": as_text(MANY),
    "many words, as word2vec.c writes them": as_text(MANY, " \n"),
    "many words, lines end in CR LF": as_text(MANY, "\r\n"),
    "many words, binary": as_binary(MANY),
    "many words, binary, without line breaks": as_binary(MANY, b""),
    "wide vectors, binary": as_binary(random_content(6, 40_000)),
    "numbers that are hard to round": f"2 {len(HARD)}\nword {' '.join(HARD)}\nword2 {' '.join(HARD)}\n".encode(),
    "an empty word": as_binary({"": [1.0, 2.0], "b": [3.0, 4.0]}),
    "a word cut within a letter": as_binary(MANY).replace("ß".encode(), b"\xc3", 1),
    "a word that comes twice": b"3 1\ndog 1\ncat 2\ndog 3\n",
    "more words than the first line says": as_text(FILE, header="3 3"),
}


@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("compressed", [False, True], ids=["plain", "gz"])
@pytest.mark.parametrize("piece", [7, 2**20])
@pytest.mark.parametrize("name", FILES)
def test_the_same_words_and_bytes_as_gensim(tmp_path, monkeypatch, name, piece, compressed):
    models = pytest.importorskip("gensim.models")
    monkeypatch.setattr(logging.getLogger("gensim.models.keyedvectors"), "level", logging.ERROR)
    monkeypatch.setattr(word2vec_files, "PIECE", piece)
    path = tmp_path / ("file.gz" if compressed else "file")
    path.write_bytes(gzip.compress(FILES[name]) if compressed else FILES[name])
    binary = read_header(path).binary
    theirs = models.KeyedVectors.load_word2vec_format(str(path), binary=binary, unicode_errors="replace")
    ours = read(path)
    assert list(ours) == list(theirs.key_to_index)
    assert np.stack(list(ours.values())).tobytes() == theirs.vectors[: len(ours)].tobytes()


@pytest.mark.parametrize(("content", "binary"), [(as_text(FILE), False), (as_binary(FILE), True)])
def test_a_header(tmp_path, content, binary):
    (tmp_path / "file").write_bytes(content)
    assert read_header(tmp_path / "file") == Header(len(FILE), 3, binary)


def test_only_wanted_words_are_given(tmp_path):
    (tmp_path / "file").write_bytes(as_binary(FILE))
    assert list(read(tmp_path / "file", {"dog", "Paris", "cat"})) == ["dog", "Paris"]


@pytest.mark.parametrize("write", [as_text, as_binary])
def test_words_are_found_in_whichever_form_the_file_has_them(tmp_path, write):
    (tmp_path / "file").write_bytes(write({"cafe\u0301": [1.0, 2.0, 3.0]}))
    assert list(read(tmp_path / "file", {"café"})) == ["café"]


def test_binary_vectors_are_not_taken_for_text(tmp_path):
    for dimensions in (2, 3, 50):
        for _ in range(300):
            vectors = {"word": RANDOM.standard_normal(dimensions).tolist(), "b": [0.0] * dimensions}
            (tmp_path / "file").write_bytes(as_binary(vectors))
            assert read_header(tmp_path / "file").binary


@pytest.mark.parametrize("write", [as_text, as_binary])
def test_memory_does_not_grow_with_the_file(tmp_path, monkeypatch, write):
    monkeypatch.setattr(word2vec_files, "PIECE", 2**15)
    path = tmp_path / "file"
    vector = [0.123456] * 300
    path.write_bytes(write({f"word{number}": vector for number in range(800)}))
    assert path.stat().st_size > 9e5
    tracemalloc.start()
    assert list(read(path, {"word799"})) == ["word799"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 3e5


DAMAGED = {
    "a line of another length": (b"2 2\na 1 2\nb 1\n", "line 3 has 1 numbers, not 2"),
    "a line without end": (b"2 1\na 1\nb " + b"1" * 2**20, "line 3 has more than 1,048,576 bytes"),
    "a word without end": (b"1 2\n" + b"x" * (2**21 + 10), "a word has more than 1,048,576 bytes"),
    "text that ends early": (b"3 1\na 1\nb 2\n", "unexpected end"),
    "binary that ends early": (as_binary(FILE)[:-2], "unexpected end"),
    "an unwanted line that is no number": (b"2 1\na 1\nb x\n", "line 3: 'x' is not a number"),
    "decimal commas": (as_text(FILE).replace(b".", b","), "line 2: '9,0' is not a number; decimals need a point"),
    "a decimal comma in a later line": (
        b"2 2\na 1 2\nb 0,5 1\n",
        "line 3: '0,5' is not a number; decimals need a point",
    ),
    "numbers between tabs": (b"1 3\na\t1.5\t2.5\t3.5\n", "line 2: its numbers must be separated by blanks"),
    "a word with a blank in it": (b"1 3\nNew York 1.5 2.5 3.5\n", "line 2: 'York' is not a number"),
    "a text archive with a wrong checksum": (gzip.compress(as_text(FILE))[:-8] + bytes(8), "CRC check failed"),
    "a text archive that ends early": (gzip.compress(as_text(FILE))[:-4], "end-of-stream marker"),
    "words that are no text": (
        as_text({f"{number}é": [1.0, 2.0] for number in range(9)}).replace("é".encode(), b"\xc3"),
        "2 of its words are no text",
    ),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_damage_is_one_message(tmp_path, name):
    content, message = DAMAGED[name]
    (tmp_path / "file").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read(tmp_path / "file", {"a"})
    assert str(caught.value).startswith(f"{tmp_path / 'file'} is damaged, or not a file of word2vec vectors (")
