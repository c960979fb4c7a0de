"""What tests of several folders use: one thread, and an S3 server on this machine."""

import os
import signal

import pytest
import torch
from hypothesis import HealthCheck, settings

# The tests' products are small, and their digits should not depend on the machine's cores.
torch.set_num_threads(1)
# A busy machine is no fault of what is tested: no test of properties may fail for being slow.
settings.register_profile("calm", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("calm")
# Ray lets its workers give way to all else; beside another load they would hardly run.
os.environ.setdefault("RAY_worker_niceness", "0")
# A shell's job in the background ignores Ctrl-C, and so would all that is started here and is to be stopped by it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser):
    parser.addoption("--fuzz", action="store_true", help="make all attempts of tests/fuzz, not a slice (an hour)")


@pytest.fixture(scope="session")
def server():
    """The address of an S3 server on this machine."""
    pytest.importorskip("s3fs", reason="the extra s3 is not installed")
    moto = pytest.importorskip("moto.server")
    started = moto.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    yield f"http://{host}:{port}"
    started.stop()


@pytest.fixture
def s3(server, monkeypatch):
    """The environment of someone with an account at the server."""
    import s3fs

    for name, value in (("ENDPOINT_URL", server), ("ACCESS_KEY_ID", "someone"), ("SECRET_ACCESS_KEY", "secret")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    s3fs.S3FileSystem.clear_instance_cache()
    yield
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.fixture
def bucket(s3):
    import boto3

    boto3.client("s3").create_bucket(Bucket="images")
    yield "images"
    found = boto3.resource("s3").Bucket("images")
    found.objects.all().delete()
    found.delete()
