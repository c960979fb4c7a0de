"""A Ray of one process listens on the loopback address alone, and refuses whoever lacks its token."""

import os
import resource
import signal

import pytest
import ray

from data.errors import UserError
from data.workers import local_ray as module
from data.workers.local_ray import limits, local_ray
from tests.data.workers.listening import answer, beyond_loopback, listening, stranger


@pytest.fixture
def careless(monkeypatch, tmp_path):
    """An environment that turns Ray's token off, and whose home cannot be written."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setenv("HOME", "/proc/none")
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    return tmp_path


FIXED = {6379, 8265, 10001, 52365}  # ports of a cluster's head, which a Ray for this process leaves to it


class Worker:
    def token(self):
        return os.environ["RAY_AUTH_MODE"], os.environ["RAY_AUTH_TOKEN"]


@pytest.mark.slow
def test_rays_after_each_other_are_closed_to_others(careless):
    """`ray` is imported long before, which is too late for Ray's own switch. Each Ray has a token of its own."""
    tokens, before = set(), signal.getsignal(signal.SIGTERM)
    for _ in range(2):
        with local_ray(2):
            workers = [ray.remote(Worker).remote() for _ in range(2)]
            modes, seen = zip(*ray.get([worker.token.remote() for worker in workers]), strict=True)
            assert set(modes) == {"token"}
            assert len(set(seen)) == 1
            tokens |= set(seen)
            names = set(listening(os.getpid()).values())
            assert {"gcs_server", "raylet"} < names
            assert not {port for _, port in listening(os.getpid())} & FIXED
            assert len(listening(os.getpid())) >= 8  # among them agents, this process and both workers
            assert beyond_loopback(os.getpid()) == {}
            assert answer(stranger(), ray.get_runtime_context().gcs_address) == "UNAUTHENTICATED"
        assert os.environ["RAY_AUTH_MODE"] == "disabled"
        assert "RAY_AUTH_TOKEN" not in os.environ
        assert signal.getsignal(signal.SIGTERM) == before
    assert len(tokens) == 2


@pytest.mark.parametrize(
    ("which", "size", "told"),
    [
        (
            resource.RLIMIT_FSIZE,
            50 * 2**20,
            "files grow to 50 MiB (ulimit -f), and Ray needs one of 80 MiB: raise",
        ),
        (resource.RLIMIT_AS, 3 * 2**30, "addresses for 3072 MiB (ulimit -v), and Ray needs some with 4096 MiB: raise"),
    ],
)
def test_a_limit_that_ray_cannot_live_with_is_told_before_it_starts(monkeypatch, which, size, told):
    monkeypatch.setattr(resource, "getrlimit", lambda asked: (size if asked == which else -1, -1))
    with pytest.raises(UserError) as refused:
        local_ray().__enter__()
    assert told in str(refused.value)
    assert not ray.is_initialized()


def test_why_ray_does_not_start_is_one_line_with_the_limits(monkeypatch, tmp_path):
    def refuse(**settings):
        raise RuntimeError("The current node timed out during startup.\nThis could happen because")

    monkeypatch.setattr(ray, "init", refuse)
    monkeypatch.setattr(module, "limits", lambda: "; a limit")
    with pytest.raises(UserError) as refused, local_ray():
        pass
    assert str(refused.value) == (
        "Ray does not start on this machine (The current node timed out during startup.); a limit"
    )


def test_limits_of_the_shell_are_named(monkeypatch):
    set_to = {resource.RLIMIT_AS: 8 * 2**30, resource.RLIMIT_FSIZE: -1, resource.RLIMIT_NOFILE: 256}
    monkeypatch.setattr(resource, "getrlimit", lambda which: (set_to.get(which, -1), -1))
    assert limits() == ("; this shell sets limits, which may be too low: 8192 MiB (ulimit -v), 256 files (ulimit -n)")
    set_to.clear()
    assert limits() == ""


def test_a_ray_that_would_listen_elsewhere_is_refused(monkeypatch):
    """As a new release might, whose switch is another one."""
    ended = []
    monkeypatch.setattr(ray, "init", lambda **settings: None)
    monkeypatch.setattr(ray, "shutdown", lambda: ended.append(True))
    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: "10.0.0.1")
    with pytest.raises(UserError, match=r"listens on 10\.0\.0\.1 .* install the release in requirements\.lock"):
        local_ray().__enter__()
    assert ended
