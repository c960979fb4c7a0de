"""Places by their URI: what is said of them holds no secret."""

import json

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from data import __main__ as command_line
from data.errors import UserError
from data.remote.filesystems import place_at, place_errors_explained
from data.remote.push_pull import pull_dataset, push
from experiments.trial_store import lease as leases
from experiments.trial_store.lease import lease
from experiments.trial_store.object_store import SharedStore

SECRET = "hunter2-XYZ"
URIS = [f"memory://user:{SECRET}@host", f"memory://there?token={SECRET}", f"memory://there?sig={SECRET}&se=2030"]


@pytest.fixture(params=URIS)
def uri(request):
    """A place in memory whose name has a secret in it."""
    MemoryFileSystem.store.clear()
    MemoryFileSystem.pseudo_dirs[:] = [""]
    return request.param


def said(raises):
    """Returns what the error says, which holds no secret and is one line."""
    text = str(raises.value)
    assert SECRET not in text
    assert "***" in text
    assert "\n" not in text
    return text


@pytest.mark.parametrize("uri", [f"foo://u:{SECRET}@host/x", f"foo://host/x?token={SECRET}", f"u:{SECRET}@host:/x"])
def test_what_is_no_place_is_named_without_its_secret(uri):
    with pytest.raises(UserError) as told:
        place_at(uri)
    said(told)


@pytest.mark.parametrize("error", [OSError, PermissionError, FileNotFoundError, ConnectionError, TimeoutError])
def test_an_error_that_quotes_the_place_is_told_without_its_secret(uri, error):
    def fail():
        with place_errors_explained(uri):
            raise error(f"cannot reach {uri}\nsince {SECRET} is wrong")

    with pytest.raises(UserError) as told:
        fail()
    said(told)


def test_pull_and_push_say_no_secret(uri, tmp_path, capsys):
    with pytest.raises(UserError) as told:
        pull_dataset("toy", uri, tmp_path)
    assert "is incomplete" in said(told)
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy/meta.json").write_text("{}")
    for kind in ("processed", "splits"):
        push(tmp_path / "toy", f"{uri}/{kind}/toy")
    place = place_at(f"{uri}/splits/toy")
    for sums in (b'{"../x": [1, "0"], "meta.json": [2, "0"]}', b'{"meta.json": [2, "0"]}'):
        place.filesystem.pipe_file(place.file("sums.json"), sums)
        with pytest.raises(UserError) as told:
            pull_dataset("toy", uri, tmp_path / "there")
        assert "data push toy " in said(told)
    captured = capsys.readouterr()
    assert SECRET not in captured.out + captured.err


def test_the_commands_of_data_say_no_secret(uri, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("data.remote.push_pull.push_dataset", lambda *arguments: 3)
    monkeypatch.setattr("data.remote.push_pull.pull_dataset", lambda *arguments: True)
    for command in ("push", "pull"):
        monkeypatch.setattr("sys.argv", ["data", command, "mnist-5k", uri, "--root", str(tmp_path)])
        with pytest.raises(SystemExit):
            command_line.main()
    captured = capsys.readouterr()
    assert "***" in captured.out
    assert SECRET not in captured.out + captured.err


def test_a_trial_store_says_no_secret(uri, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(leases, "BEAT", 0.02)
    store = SharedStore(tmp_path, uri)
    assert SECRET not in f"{store} {store.folder('abc').place} {store.lacks('mark')}"
    store.objects.put("lease.json", json.dumps({"id": "1-dead", "host": "afar"}).encode())
    with lease(store.objects.place) as held:
        pass
    with pytest.raises(UserError) as told:
        held.renew()
    said(told)
    store.objects.place.filesystem.pipe_file(f"{store.objects.place.path}/../x", b"")
    with pytest.raises(UserError) as told:
        store.objects.fetch("../x", tmp_path / "x")
    said(told)
    captured = capsys.readouterr()
    assert "looking whether another sweep" in captured.out
    assert SECRET not in captured.out + captured.err
