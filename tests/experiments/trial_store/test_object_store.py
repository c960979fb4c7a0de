"""A trial store on S3, served by moto: several machines, each with its own copy, come and go."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from fsspec.implementations.memory import MemoryFile, MemoryFileSystem

from data.errors import UserError
from experiments.settings.config import load
from experiments.trial_store import holder, object_store, objects
from experiments.trial_store import lease as leases
from experiments.trial_store.layout import Layout
from experiments.trial_store.lease import Superseded
from experiments.trial_store.object_store import SharedStore
from experiments.trials.grid import trials
from experiments.trials.run import epochs, run_trial
from experiments.trials.training import TrialFailed
from tests.experiments.stored import label_result


@pytest.fixture
def uri(bucket, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(objects, "PAUSES", (0.01,))
    monkeypatch.setattr(leases, "BEAT", 0.2)
    return f"s3://{bucket}/trials"


@pytest.fixture
def only(world):
    world.params(toys={"epochs": 3})
    (trial,) = trials(load(Path("params.yaml")), Layout())
    return trial


def machine(name, uri):
    """Returns the store of one machine: a folder of its own and the shared objects."""
    return SharedStore(Path(name), uri)


def finish(only, store, cpu):
    return run_trial(only, Layout(), store.folder(only.identity), cpu, lambda row: None)


def test_what_one_machine_has_done_another_knows(only, uri, cpu):
    first, second = machine("a", uri), machine("b", uri)
    result = finish(only, first, cpu)
    second.fetch([only.identity])
    folder = second.folder(only.identity)
    assert folder.result() == result
    assert folder.status == "done"
    assert [row["epoch"] for row in folder.rows()] == [0, 1, 2]
    assert folder.config()["system"] == "toy"
    assert len(folder.predictions().classes) > 0
    left = {name.partition("/")[2] for name in first.objects.names(only.identity)}
    assert left == {"config.json", "metrics.jsonl", "predictions.json", "result.json", "weights.pt"}
    assert second.identities(only.identity[:5]) == [only.identity]
    third = machine("c", uri)
    with third.folder(only.identity).locked():
        assert third.folder(only.identity).result() == result  # so that it is not run again


@pytest.mark.parametrize("lost", [False, True])
def test_a_trial_goes_on_elsewhere_with_the_digits_it_would_have_had(only, uri, cpu, monkeypatch, lost):
    from experiments.trials import training

    monkeypatch.setattr(training, "CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr(object_store, "SENDING", 1e9)
    first, second = machine("a", uri), machine("b", uri)
    begun = epochs(only, Layout(), first.folder(only.identity), cpu)
    next(begun)
    next(begun)
    watcher = machine("c", uri)
    with watcher.locked():
        watcher.fetch([only.identity, "another"])
        assert watcher.folder(only.identity).status == "running"
    if not lost:
        begun.close()
    rows = []
    result = run_trial(only, Layout(), second.folder(only.identity), cpu, rows.append)
    assert [row["epoch"] for row in rows] == ([1, 2] if lost else [2])
    alone = finish(only, machine("d", f"{uri}-2"), cpu)
    assert {name: result[name] for name in ("top1", "ece")} == {name: alone[name] for name in ("top1", "ece")}
    begun.close()


def test_what_was_done_here_alone_is_sent(only, uri, cpu):
    finish(only, replace(Layout(), store=Path("a")).trial_store, cpu)
    machine("a", uri).fetch([only.identity])
    other = machine("b", uri)
    other.fetch([only.identity])
    assert other.folder(only.identity).status == "done"


def test_a_failure_is_known_elsewhere_until_it_is_tried_again(only, uri):
    first, second = machine("a", uri), machine("b", uri)
    with first.folder(only.identity).locked():
        first.folder(only.identity).begin({"system": "toy"})
        first.folder(only.identity).fail("why", "where")
    second.fetch([only.identity])
    assert second.folder(only.identity).failure() == {"reason": "why", "details": "where"}
    with first.folder(only.identity).locked():
        first.folder(only.identity).begin({"system": "toy"})
    second.fetch([only.identity])
    assert second.folder(only.identity).status == "missing"


def test_no_connection_is_told_and_costs_nothing_that_is_done(only, uri, cpu, monkeypatch):
    store = machine("a", uri)
    folder = store.folder(only.identity)

    def broken(*arguments, **options):
        raise ConnectionError("cable pulled")

    begun = epochs(only, Layout(), folder, cpu)
    next(begun)
    with monkeypatch.context() as cut:
        cut.setattr(store.objects.place.filesystem, "put_file", broken)
        with pytest.raises(TrialFailed, match=r"no connection \(cable pulled\)"):
            list(begun)
    assert folder.result() is not None  # on that machine
    with folder.locked():
        pass
    other = machine("b", uri)
    other.fetch([only.identity])
    assert other.folder(only.identity).result() == folder.result()


def test_places_that_are_none(uri):
    with pytest.raises(UserError, match="unknown protocol"):
        SharedStore(Path("a"), "nowhere://x")
    message = r"s3://no-such-bucket/x: does not exist \(The specified bucket does not exist\): make the bucket"
    with pytest.raises(UserError, match=message), machine("a", "s3://no-such-bucket/x").marked(".mark"):
        pass
    with pytest.raises(UserError, match=message), machine("a", "s3://no-such-bucket/x").locked():
        pass


def test_a_result_there_that_does_not_hold_is_set_aside_there_by_whoever_runs_the_trial_again(only, uri, cpu):
    first, second = machine("a", uri), machine("b", uri)
    whole = finish(only, first, cpu)
    bad = json.dumps(whole | {"top1": 400.0}).encode()
    first.objects.put(f"{only.identity}/result.json", bad)
    first.objects.put(f"{only.identity}/result.json.set-aside-1", b"an earlier one")
    second.fetch([only.identity])
    folder = second.folder(only.identity)
    assert folder.status == "missing"
    assert folder.result_fault().startswith(f"{uri}/{only.identity}/result.json: top1 = 400.0: ")
    again = finish(only, second, cpu)
    assert again["top1"] == whole["top1"]
    aside = f"{only.identity}/result.json.set-aside-2"
    assert second.objects.place.filesystem.cat_file(second.objects.place.file(aside)) == bad
    third = machine("c", uri)
    third.fetch([only.identity])
    assert third.folder(only.identity).result() == again


def test_a_bucket_that_holds_something_else_is_no_store(only, uri):
    store = machine("a", uri)
    store.objects.put("holiday.jpg", b"")
    with pytest.raises(UserError, match=f"^{uri} is no trial store: "):
        store.check_begun()
    store.folder(only.identity).begin({})
    store.check_begun()


def contents(store):
    return {
        name: store.objects.place.filesystem.cat_file(store.objects.place.file(name)) for name in store.objects.names()
    }


def done_by(store, identity, score):
    """Finishes a trial with that score, without training, and returns its folder."""
    folder = store.folder(identity)
    folder.begin({"system": "toy"})
    folder.set_rows([{"epoch": 0, "loss": score, "time": 0.0}])
    folder.finish(label_result(top1=score))
    return folder


@pytest.mark.parametrize("when", ["before", "at the same time"])
def test_a_result_in_the_store_is_never_replaced(uri, when, monkeypatch):
    first, second = machine("a", uri), machine("b", uri)
    done_by(first, "abc", 1.0)
    before = contents(first)
    if when == "at the same time":  # the second one sees it only when it writes its own
        monkeypatch.setattr(second.objects, "names", lambda folder="": set())
    folder = done_by(second, "abc", 2.0)
    after = contents(first)
    assert after["abc/result.json"] == before["abc/result.json"]
    assert folder.result()["top1"] == 1.0
    if when == "before":
        assert after == before
        assert folder.rows()[0]["loss"] == 1.0


def test_a_result_that_was_cut_short_is_replaced(uri):
    store = machine("a", uri)
    store.objects.put("abc/result.json", b'{"sco')
    other = machine("b", uri)
    other.objects.create("abc/result.json", b"{}")
    assert contents(other)["abc/result.json"] == b"{}"


def test_a_result_whose_reply_was_lost_was_sent(uri, monkeypatch):
    store = machine("a", uri)
    write = store.objects.place.filesystem.pipe_file

    def lost(path, content, **options):
        write(path, content, **options)
        raise ConnectionResetError("by peer")

    monkeypatch.setattr(store.objects.place.filesystem, "pipe_file", lost)
    assert store.objects.create("abc/result.json", b"{}")
    assert not store.objects.create("abc/result.json", b"[]")
    assert contents(store)["abc/result.json"] == b"{}"


def test_workers_of_a_sweep_that_lost_the_store_change_nothing_there(uri):
    driver = machine("a", uri)
    done_by(driver, "done", 1.0)
    with driver.locked():
        worker = SharedStore(Path("w"), uri, driver.lease)
        done_by(worker, "by worker", 1.0)
        stale = SharedStore(Path("w"), uri, f"1-{'0' * 32}")
        (stale.root / "done").mkdir()
        before = contents(driver)
        folder = stale.folder("left")

        def hold():
            with folder.locked():
                pass

        changes = [
            hold,
            lambda: folder.begin({}),
            lambda: folder.save_checkpoint({}),
            lambda: folder.finish(label_result()),
        ]
        changes += [folder.drop_checkpoint]
        for change in changes:
            with pytest.raises(Superseded, match="has it now"):
                change()
        folder.fail("why")  # a failure that cannot be sent is no error
        stale.folder("done").finish(label_result(top1=2.0))
        assert stale.folder("done").result()["top1"] == 1.0
        after = contents(driver)
    for left in (before, after):
        del left[holder.LEASE]
    assert after == before


def test_the_driver_asks_before_each_change_whether_it_holds_the_store(uri, monkeypatch):
    driver = machine("a", uri)
    place = driver.objects.place
    with driver.locked():
        monkeypatch.setattr(leases, "_now", lambda: float("inf"))
        place.filesystem.pipe_file(place.file(holder.LEASE), json.dumps({"id": "2-other", "host": "afar"}).encode())
        with pytest.raises(Superseded, match="afar"):
            driver.save_facts("sweep.json", {})
    assert set(contents(driver)) == {holder.LEASE}
    driver.save_facts("sweep.json", {})  # held no more, and asked no more
    assert set(contents(driver)) == {holder.LEASE, "sweep.json"}


HOSTILE = [
    "/abs/path",
    "../../x",
    "..",
    "./x",
    "a//b",
    "a\\b",
    "..\\x",
    "C:x",
    "con",
    "pictures/NUL.png",
    "x\n",
    "a" * 300,
]


@pytest.fixture
def memory(monkeypatch, tmp_path):
    """An empty place in this process's memory."""
    monkeypatch.chdir(tmp_path)
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    return "memory://trials"


def assert_refused(base, name):
    """Asserts that a name in a store is refused in one line, and that nothing is written here."""
    other = machine("there/store", base)
    for ask in (lambda: other.fetch(["abc"]), lambda: other.fetch(["abc", "abd"]), lambda: other.identities("a")):
        with pytest.raises(UserError, match=r"leads out of the folder .* remove that object") as told:
            ask()
        assert str(told.value).isprintable()
    assert not Path("there").exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_leave_the_folder_are_refused(memory, name):
    store = machine("here/store", memory)
    done_by(store, "abc", 1.0)
    MemoryFileSystem.store[f"/trials/abc/{name}"] = MemoryFile(None, name, b"evil")
    assert_refused(memory, name)


def test_names_on_s3_that_leave_the_folder_are_refused(uri):
    done_by(machine("here/store", uri), "abc", 1.0)
    store = machine("here/store", uri)
    for name in ("/abs/path", "../../x"):
        path = f"{store.objects.place.path}/abc/{name}"
        store.objects.place.filesystem.pipe_file(path, b"evil")
        assert_refused(uri, name)
        store.objects.place.filesystem.rm_file(path)
    machine("there/store", uri).fetch(["abc"])
    assert Path("there/store/abc/result.json").exists()


@pytest.mark.parametrize("name", HOSTILE)
def test_facts_are_kept_under_names_in_the_store(memory, name):
    for store in (machine("a", memory), replace(Layout(), store=Path("b")).trial_store):
        for use in (lambda store=store: store.save_facts(name, {}), lambda store=store: store.facts(name)):
            with pytest.raises(UserError, match="leads out of") as told:
                use()
            assert str(told.value).isprintable()
    assert not list(Path().iterdir())


def test_what_no_trial_has_written_is_not_fetched(uri):
    first, second = machine("a", uri), machine("b", uri)
    done_by(first, "abc", 1.0)
    for name in (".lock", "thesis.txt", "pictures/.x.png", "pictures/a/b.png", "pictures/x.exe", "pictures/a.png"):
        first.objects.put(f"abc/{name}", b"x")
    second.fetch(["abc"])
    found = {str(path.relative_to("b/abc")) for path in Path("b/abc").rglob("*") if path.is_file()}
    assert found == {"config.json", "metrics.jsonl", "result.json", "pictures/a.png"}
