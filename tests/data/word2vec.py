"""Files of word2vec vectors, written by hand in both formats."""

from __future__ import annotations

import struct

FILE = {  # as a file has them: none of these values is exact in binary but the halves
    "</s>": [9.0, 9.0, 9.0],
    "a": [0.1, -0.2, 0.3],
    "A": [7.0, 7.0, 7.0],
    "dog": [1.5, 2.5, -3.5],
    "Paris": [1e-3, 0.0, 1.0],
    "T_shirt": [4.0, 4.5, 5.0],
    "New_York": [6.0, 6.5, 7.0],
    "isn’t": [8.0, 8.5, 9.0],
    "<unknown>": [5.0, 5.0, 5.0],
}


def as_text(content, end="\n", header=None):
    rows = [" ".join([word, *map(repr, values)]) + end for word, values in content.items()]
    return ((header or f"{len(content)} {len(next(iter(content.values())))}") + "\n" + "".join(rows)).encode()


def as_binary(content, end=b"\n", header=None):
    """As word2vec.c writes it; gensim leaves out the `end`."""
    head = (header or f"{len(content)} {len(next(iter(content.values())))}").encode() + b"\n"
    return head + b"".join(
        word.encode() + b" " + struct.pack(f"<{len(values)}f", *values) + end for word, values in content.items()
    )
