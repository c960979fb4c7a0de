"""The lease of a sweep on each kind of place: who holds it, and what one learns who was stopped meanwhile."""

import json
import threading

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from data.errors import UserError
from data.remote.filesystems import place_at
from experiments.trial_store import holder, objects
from experiments.trial_store import lease as leases
from experiments.trial_store.lease import Lease, Superseded, ensure_held_by, lease
from experiments.trial_store.object_store import SharedStore


@pytest.fixture(params=["s3", "memory", "file"])
def place(request, tmp_path, monkeypatch):
    """An empty place of each kind, on which beats are short."""
    monkeypatch.setattr(leases, "BEAT", 0.02)
    monkeypatch.setattr(objects, "PAUSES", (0,))
    if request.param == "memory":
        MemoryFileSystem.store.clear()
        MemoryFileSystem.pseudo_dirs[:] = [""]
        return place_at("memory://trials")
    if request.param == "file":
        return place_at(f"file://{tmp_path}/trials")
    return place_at(f"s3://{request.getfixturevalue('bucket')}/trials")


@pytest.fixture
def clock(monkeypatch):
    """The clock of holders, which stands still until it is set on."""

    class Clock:
        seconds = 0.0

        def pass_beats(self, count):
            self.seconds += count * leases.BEAT

    made = Clock()
    monkeypatch.setattr(leases, "_now", lambda: made.seconds)
    return made


def taken(place):
    held = Lease(place)
    held.take()
    return held


def there(place):
    return holder.read(place)[0]


def fails(place, monkeypatch, before=lambda: None, after=lambda: None):
    """Has the next write of the place raise an error, after `before`, or once it is carried out and after `after`."""
    write = place.filesystem.pipe_file
    error = ConnectionError("cable pulled")

    def once(path, content, **options):
        monkeypatch.setattr(place.filesystem, "pipe_file", write)
        before()
        if after is not None:
            write(path, content, **options)
            after()
        raise error

    monkeypatch.setattr(place.filesystem, "pipe_file", once)


def test_a_request_that_fails_as_a_holder_ends_leaves_nothing_behind(place, clock, monkeypatch):
    held, remove = taken(place), holder.remove

    def fail_once(*arguments):
        monkeypatch.setattr(leases, "remove", remove)
        raise ConnectionError("cable pulled")

    monkeypatch.setattr(leases, "remove", fail_once)
    held.release()
    assert there(place) == {}


def test_a_holder_beats_and_leaves_nothing_behind(place, clock):
    held = taken(place)
    for beat in range(3):
        assert there(place)["beat"] == beat
        held.renew()
    held.release()
    assert there(place) == {}


def test_while_beats_come_in_time_the_lease_is_believed_without_a_request(place, clock, monkeypatch):
    held = taken(place)
    with monkeypatch.context() as cut:
        cut.setattr(leases, "read", lambda place: pytest.fail("a request"))
        clock.pass_beats(leases.TRUST)
        held.confirm()
    clock.pass_beats(0.1)
    held.confirm()
    assert there(place)["beat"] == 1


@pytest.mark.parametrize("ended", [False, True])
def test_a_holder_that_was_stopped_for_too_long_learns_who_has_the_place(place, clock, ended):
    stopped = taken(place)
    other = taken(place)  # which saw no sign of life
    if ended:
        other.release()
    before = there(place)
    clock.pass_beats(leases.PATIENCE)
    with pytest.raises(Superseded) as told:
        stopped.confirm()
    assert "\n" not in str(told.value)
    assert ("lease.json is gone" if ended else f"(process {before['process']}) has it now") in str(told.value)
    for method in (stopped.confirm, stopped.renew):
        with pytest.raises(Superseded):
            method()
    stopped.release()
    assert there(place) == before
    if not ended:
        clock.pass_beats(leases.PATIENCE)
        other.confirm()


def test_a_holder_that_is_stopped_between_reading_and_writing_takes_nothing_back(place, clock, monkeypatch):
    stopped, others = taken(place), []
    read = leases.read

    def read_and_stop(place):
        found = read(place)
        if not others:
            others.append(None)
            others[0] = taken(place)
            clock.pass_beats(leases.PATIENCE)
            # While the stopped one waits, the other one lives: it comes back where no condition guards the write.
            monkeypatch.setattr(leases.time, "sleep", lambda seconds: others[0].renew())
        return found

    monkeypatch.setattr(leases, "read", read_and_stop)
    with pytest.raises(Superseded, match="has it now"):
        stopped.renew()
    others[0].renew()
    assert there(place)["id"] == others[0].id
    assert holder.generation(there(place)) == 2


def test_a_write_whose_reply_is_lost_was_carried_out(place, clock, monkeypatch):
    fails(place, monkeypatch)
    held = taken(place)
    fails(place, monkeypatch)
    held.renew()
    assert there(place)["beat"] == 1
    held.renew()
    assert there(place)["beat"] == 2


def test_a_write_that_fails_is_no_loss(place, clock, monkeypatch):
    held = taken(place)
    fails(place, monkeypatch, after=None)
    with pytest.raises(ConnectionError):
        held.renew()
    held.renew()
    assert not held.lost


def test_a_request_of_ours_that_comes_late_is_no_loss(place, clock, monkeypatch):
    held = taken(place)
    late = json.dumps({**there(place), "beat": 7}).encode()
    write = place.filesystem.pipe_file
    fails(place, monkeypatch, before=lambda: write(place.file(holder.LEASE), late), after=lambda: None)
    held.renew()
    assert not held.lost
    assert there(place)["id"] == held.id


def test_without_a_connection_a_lease_is_neither_believed_nor_lost(place, clock, monkeypatch):
    held = taken(place)
    clock.pass_beats(leases.PATIENCE)

    def broken(*arguments, **options):
        raise ConnectionError("cable pulled")

    with monkeypatch.context() as cut:
        cut.setattr(place.filesystem, "cat_file", broken)
        with pytest.raises(ConnectionError):
            held.confirm()
    held.confirm()


def test_a_lease_that_is_cut_short_is_succeeded(place, clock):
    held = taken(place)
    place.filesystem.pipe_file(place.file(holder.LEASE), b'{"id": "1-')
    held.renew()
    assert there(place)["id"] == held.id
    place.filesystem.pipe_file(place.file(holder.LEASE), b"")
    other = taken(place)
    assert there(place)["id"] == other.id


def test_the_block_of_a_holder_that_lost_the_place_is_interrupted_once(place):
    calls, told = [], threading.Event()

    def on_loss():
        calls.append(threading.current_thread().name)
        told.set()

    content = {"id": "9-other", "host": "afar", "process": 1, "beat": 0}

    def sweep():
        with lease(place, on_loss):
            place.filesystem.pipe_file(place.file(holder.LEASE), json.dumps(content).encode())
            assert told.wait(60)
            raise KeyboardInterrupt

    with pytest.raises(Superseded, match=r"has taken over .*afar \(process 1\) has it now"):
        sweep()
    assert calls == ["lease"]
    assert there(place) == content


def test_ctrl_c_is_no_loss(place):
    with pytest.raises(KeyboardInterrupt), lease(place):
        raise KeyboardInterrupt
    assert there(place) == {}


def test_a_worker_works_for_the_holder_alone(place, clock):
    held = taken(place)
    ensure_held_by(place, held.id)
    with pytest.raises(Superseded, match="has it now"):
        ensure_held_by(place, f"1-{'0' * 32}")
    held.release()
    with pytest.raises(Superseded, match="is gone"):
        ensure_held_by(place, held.id)


def test_one_sweep_at_a_time_holds_the_place(place, tmp_path, monkeypatch):
    monkeypatch.setattr(leases, "BEAT", 0.5)
    first, second = SharedStore(tmp_path / "a", place.uri), SharedStore(tmp_path / "b", place.uri)
    with first.locked(), pytest.raises(UserError, match=r"another sweep is running on .*\(process"), second.locked():
        pass
    with second.locked():
        second.confirm_held()
    assert second.objects.names() == set()
    second.confirm_held()


def test_of_two_that_find_a_holder_dead_one_succeeds(place, monkeypatch):
    monkeypatch.setattr(leases, "BEAT", 0.2)
    assert holder.write(place, {"id": "dead", "host": "gone"}, {}, "")
    assert not holder.write(place, {"id": "late", "host": "here"}, {}, "")
    held, refused, ended = [], [], threading.Barrier(2, timeout=60)

    def sweep(name):
        try:
            with lease(place, lambda: None):
                held.append(name)
                ended.wait()
        except UserError as error:
            refused.append(str(error))
            ended.wait()

    threads = [threading.Thread(target=sweep, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held) == len(refused) == 1
