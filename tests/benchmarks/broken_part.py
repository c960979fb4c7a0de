"""A part of the GPU benchmark for tests, most of whose cases end badly."""

import os
import time

import torch

from benchmarks.gpu.cases import Case, LeftOut


def _raised(error):
    raise error


def cases(device):
    yield Case("right", lambda: {"value": 1.5, "holds": True})
    yield Case("wrong", lambda: {"value": 2.5, "holds": False})
    yield Case("faulty", lambda: _raised(ValueError("first line\nsecond line")))
    yield Case("not here", lambda: _raised(LeftOut("needs another device")))
    yield Case("large", lambda: _raised(torch.OutOfMemoryError("out of memory: 3 TiB")), series="sizes")
    yield Case("larger", lambda: {"value": 1.0}, series="sizes")
    yield Case("as large elsewhere", lambda: {"value": 4.0}, series="others")
    yield Case("dead", lambda: os._exit(9))
    yield Case("after the dead", lambda: {"value": 3.0})
    yield Case("endless", lambda: time.sleep(600))
    yield Case("never reached", dict)
