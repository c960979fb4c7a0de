"""What a process and its descendants listen on, and what a stranger without the token gets from them."""

import ipaddress
import os
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import grpc
import psutil
from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

SECONDS = 10


def listening(pid):
    """Returns where a process and its descendants listen: names of processes by IP address and port."""
    root, found = psutil.Process(pid), {}
    for process in [root, *root.children(recursive=True)]:
        try:
            sockets = process.net_connections("inet")
        except psutil.Error:  # it has just ended
            continue
        for socket in sockets:
            if socket.status == psutil.CONN_LISTEN:
                found[tuple(socket.laddr)] = process.name()
    return found


def beyond_loopback(pid):
    """Returns those of them that others than this machine can reach."""
    return {address: name for address, name in listening(pid).items() if not loopback(address[0])}


def loopback(host):
    address = ipaddress.ip_address(host)
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def answer_to_stranger(address):
    """Returns what Ray's server at `address` says to a call without a token: the code of gRPC."""
    with grpc.insecure_channel(address) as channel:
        stub = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel)
        try:
            stub.GetAllNodeInfo(gcs_service_pb2.GetAllNodeInfoRequest(), timeout=SECONDS)
        except grpc.RpcError as refusal:
            return refusal.code()
    return grpc.StatusCode.OK


@contextmanager
def watched():
    """Looks again and again where this process and its descendants listen while the block lasts.

    Yields what was seen: names of processes, addresses beyond loopback, and the answers that Ray's first server gave to
    a stranger.
    """
    seen, over = SimpleNamespace(names=set(), beyond={}, answers=set()), threading.Event()

    def look():
        while not over.wait(0.2):
            found = listening(os.getpid())
            seen.names |= set(found.values())
            seen.beyond |= {address: name for address, name in found.items() if not loopback(address[0])}
            for (_, port), name in found.items():
                if name == "gcs_server" and not seen.answers:
                    seen.answers.add(answer_to_stranger(f"127.0.0.1:{port}"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def assert_closed(seen):
    """Asserts that Ray and a worker process of it were seen, all on the loopback address, and strangers refused."""
    assert {"gcs_server", "raylet"} < seen.names
    assert any(name.startswith("ray::") for name in seen.names)
    assert seen.beyond == {}
    assert seen.answers == {grpc.StatusCode.UNAUTHENTICATED}
