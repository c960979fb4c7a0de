"""What a process and its descendants listen on, and what a stranger without the token gets from them.

As a program it is the stranger, who asks the server whose address comes on standard input.
"""

import ipaddress
import subprocess
import sys
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import psutil

SECONDS = 30


def listening(pid):
    """Returns where a process and its descendants listen: names of processes by IP address and port."""
    found = {}
    for process in family(pid):
        try:
            sockets = process.net_connections("inet")
        except psutil.Error:  # it has just ended
            continue
        for socket in sockets:
            if socket.status == psutil.CONN_LISTEN:
                found[tuple(socket.laddr)] = process.name()
    return found


def family(pid):
    """Returns a process and its descendants; none once it has ended."""
    try:
        root = psutil.Process(pid)
        return [root, *root.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def beyond_loopback(pid):
    """Returns those of them that others than this machine can reach."""
    return {address: name for address, name in listening(pid).items() if not loopback(address[0])}


def loopback(host):
    address = ipaddress.ip_address(host)
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def stranger():
    """Starts a process without the token, which waits for the address of a server."""
    return subprocess.Popen([sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def answer(asking, address):
    """Returns what Ray's server at `address` says to a stranger: the name of gRPC's code."""
    return asking.communicate(address)[0].strip()


def ask():
    """Asks a server as somebody without the token does."""
    import grpc
    from ray.core.generated import gcs_service_pb2, gcs_service_pb2_grpc

    with grpc.insecure_channel(sys.stdin.read()) as channel:
        stub = gcs_service_pb2_grpc.NodeInfoGcsServiceStub(channel)
        try:
            stub.GetAllNodeInfo(gcs_service_pb2.GetAllNodeInfoRequest(), timeout=SECONDS)
        except grpc.RpcError as refusal:
            return refusal.code().name
    return "OK"


@contextmanager
def watched(pid):
    """Looks again and again where a process and its descendants listen while the block lasts.

    Yields what was seen: names of processes, addresses beyond loopback, and the answers that Ray's first server gave to
    a stranger.
    """
    seen, over, asking = SimpleNamespace(names=set(), beyond={}, answers=set()), threading.Event(), stranger()

    def look():
        while not over.wait(0.2):
            found = listening(pid)
            seen.names |= set(found.values())
            seen.beyond |= {address: name for address, name in found.items() if not loopback(address[0])}
            for (_, port), name in found.items():
                if name == "gcs_server" and not seen.answers:
                    seen.answers.add(answer(asking, f"127.0.0.1:{port}"))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()
        asking.kill()
        asking.communicate()


def assert_closed(seen):
    """Asserts that Ray and a worker process of it were seen, all on the loopback address, and strangers refused."""
    assert {"gcs_server", "raylet"} < seen.names
    assert any(name.startswith("ray::") for name in seen.names)
    assert seen.beyond == {}
    assert seen.answers == {"UNAUTHENTICATED"}


if __name__ == "__main__":
    print(ask())
