"""A trial store on S3 behind a bad network, and names of objects that lead elsewhere."""

import json
import random
import shutil
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

from data.errors import UserError
from data.remote.filesystems import place_at
from data.remote.push_pull import META, SUMS, pull_dataset, push
from experiments.trial_store import lease as leases
from experiments.trial_store import object_store, objects
from experiments.trial_store.holder import LEASE
from experiments.trial_store.lease import Lease
from experiments.trial_store.object_store import SharedStore
from tests.bad_network import bad_network
from tests.experiments.stored import label_result
from tests.fuzz.hanging import in_time

IDENTITIES = [f"{number:016x}" for number in range(3)]


@pytest.fixture
def behind(server, bucket, monkeypatch):
    """Opens a trial store through a server of S3, or through a proxy before it."""
    import s3fs

    monkeypatch.setattr(objects, "PAUSES", (0.01,) * 5)
    monkeypatch.setattr(object_store, "SENDING", 1e9)  # each checkpoint

    def store(folder, prefix, uri=server):
        monkeypatch.setenv("AWS_ENDPOINT_URL", uri)
        s3fs.S3FileSystem.clear_instance_cache()
        made = SharedStore(folder, f"s3://{bucket}/{prefix}")
        made.objects.names()  # connects, and keeps to that server
        return made

    yield store
    monkeypatch.setenv("AWS_ENDPOINT_URL", server)
    s3fs.S3FileSystem.clear_instance_cache()


def sweep(store):
    """Does with the store what a sweep of three trials does, the last of which fails first."""

    def run(identity):
        number = int(identity, 16)
        folder = SharedStore(store.root / f"worker-{number}", store.uri, store.lease).folder(identity)
        for attempt in range(2 if identity == IDENTITIES[-1] else 1):
            with folder.locked():
                folder.begin({"system": "toy", "seed": number})
                for epoch in range(2):
                    folder.add_row({"epoch": epoch, "time": 0.0, "loss": 1.0 + number})
                    folder.save_checkpoint({"epoch": epoch})
                if identity == IDENTITIES[-1] and attempt == 0:
                    folder.fail("why", "where")
                    folder.set_rows([])
                else:
                    folder.finish(label_result(top1=float(number)))

    with store.locked():
        store.fetch(IDENTITIES)
        with ThreadPoolExecutor(len(IDENTITIES)) as pool:
            list(pool.map(run, IDENTITIES))
        store.confirm_held()
        store.fetch(IDENTITIES)
        store.save_facts("sweep-toy.json", {"trials": len(IDENTITIES)})


def contents(store):
    place = store.objects.place
    return {name: place.filesystem.cat_file(place.file(name)) for name in store.objects.names()}


def harm_done(found, expected):
    """Returns which of the tally's harms a store has suffered, or None."""
    if expected.keys() - found.keys():
        return "lost"
    if found.keys() - expected.keys():
        return "doubled"
    return None if found == expected else "wrong"


def test_a_store_on_a_bad_network_is_that_of_a_good_one(behind, server, tmp_path, attempts, tally):
    direct = behind(tmp_path / "good", "good")
    sweep(direct)
    expected, counted = contents(direct), tally("network faults before an S3 server, one request in ten")
    assert {name.partition("/")[2] for name in expected} == {"config.json", "metrics.jsonl", "result.json", ""}
    for seed in range(attempts(1, 40)):
        looker = behind(tmp_path / "looker", f"bad-{seed}")
        with bad_network(server, seed) as proxy, in_time(120):
            store = behind(tmp_path / f"bad-{seed}", f"bad-{seed}", proxy.uri)
            sweep(store)
            tables = [store.folder(identity).result()["top1"] for identity in IDENTITIES]
        assert tables == [0.0, 1.0, 2.0]
        harm = harm_done(contents(looker), expected)
        for _ in range(proxy.faults.total()):
            counted.count(harm or "survived")
        shutil.rmtree(tmp_path / f"bad-{seed}")
    assert counted.harm == 0, f"seed {seed}"


def test_a_lease_on_a_bad_network_has_one_holder(behind, server, tmp_path, attempts, tally, monkeypatch):
    monkeypatch.setattr(leases, "BEAT", 1.0)  # patience for six: beats fail too
    counted = tally("network faults at a lease on S3, one request in three")
    for seed in range(attempts(1, 40)):
        looker = behind(tmp_path, f"lease-{seed}")
        with bad_network(server, seed, share=1 / 3) as proxy, in_time(120):
            place = behind(tmp_path, f"lease-{seed}", proxy.uri).objects.place
            held = Lease(place)
            held.take()
            with beating(held), pytest.raises(UserError, match="another sweep is running"):
                Lease(place).take()
            harm = "doubled" if held.lost or json.loads(contents(looker)[LEASE])["id"] != held.id else None
        for _ in range(proxy.faults.total()):
            counted.count(harm or "survived")
    assert counted.harm == 0, f"seed {seed}"


@contextmanager
def beating(held):
    """Has a holder beat, faster than it must, from a thread of its own."""
    over = threading.Event()

    def beat():
        while not over.wait(0.01):
            with suppress(Exception):
                held.renew()

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


STARTS = ("", "", "/", "//", "../", "/../")
PARTS = (
    "..", ".", "", "a", "abc", "pictures", "x.png", "result.json", "config.json", "metrics.jsonl", ".lock", "~", "con",
    "NUL.png", "aux", "C:", "\\", "..\\..", "\\\\host\\share", "\x00", "\n", "\u202e", "\ud800", "%2e%2e", "ü.png",
    " ", ". .", "...", "x" * 256, "é" * 130 + ".png", "etc", "passwd", "-rf", "$(id)", "`id`",
)  # fmt: skip


def test_hostile_names_write_nothing_outside(tmp_path, attempts, tally, monkeypatch):
    monkeypatch.chdir(tmp_path)
    chance, counted = random.Random(2016), tally("names of objects and in sums.json that lead elsewhere")
    (tmp_path / "prepared").mkdir()
    (tmp_path / "prepared/meta.json").write_text("{}")
    for _ in range(attempts(400, 20_000)):
        name = chance.choice(("", "", "/", "//", "../", "/../")) + "/".join(
            chance.choices(PARTS, k=chance.randint(1, 4))
        )
        outcome = (fetched if chance.random() < 0.7 else pulled)(name)
        inside = [path for path in tmp_path.rglob("*") if path.is_file()]
        if any(path.relative_to(tmp_path).parts[0] not in ("here", "prepared") for path in inside):
            outcome = "wrong"
        if outcome not in ("refused in one line", "survived"):
            print(f"{name!r}: {outcome}")
        counted.count(outcome)
        shutil.rmtree(tmp_path / "here", ignore_errors=True)
    assert counted.harm == 0


def empty_memory():
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]


def attempted(act):
    try:
        act()
    except UserError as error:
        return "refused in one line" if str(error).isprintable() else "wrong"
    except Exception as error:
        print(repr(error))
        return "wrong"
    return "survived"


def fetched(name):
    """Fetches a trial in whose folder an object has that name."""
    empty_memory()
    store = SharedStore(Path("here/store"), "memory://trials")
    MemoryFileSystem.store[f"/trials/abc/{name}"] = MemoryFile(None, name, b"evil")
    outcome = attempted(lambda: store.fetch(["abc"]))
    return outcome if not Path("here/store/abc/.lock").exists() else "wrong"


def pulled(name):
    """Pulls a dataset whose sums.json has that name in it."""
    empty_memory()
    for kind in ("processed", "splits"):
        push(Path("prepared"), f"memory://there/{kind}/toy")
    place = place_at("memory://there/splits/toy")
    sums = json.loads(place.filesystem.cat_file(place.file(SUMS)))
    place.filesystem.pipe_file(place.file(SUMS), json.dumps({name: [4, "0"], META: sums[META]}).encode())
    return attempted(lambda: pull_dataset("toy", "memory://there", Path("here/data")))
