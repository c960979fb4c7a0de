"""A trial store on S3, served by moto: several machines, each with its own copy, come and go."""

import json
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from data.errors import UserError
from experiments.settings.config import load
from experiments.trial_store import lease as leases
from experiments.trial_store import object_store, objects
from experiments.trial_store.layout import Layout
from experiments.trial_store.object_store import SharedStore
from experiments.trials.grid import trials
from experiments.trials.run import epochs, run_trial
from experiments.trials.training import TrialFailed


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
    left = {name.partition("/")[2] for name in first.objects.names(only.identity)}
    assert left == {"config.json", "metrics.jsonl", "result.json", "weights.pt"}
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
    assert {name: result[name] for name in ("top1", "validation_score")} == {
        name: alone[name] for name in ("top1", "validation_score")
    }
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
