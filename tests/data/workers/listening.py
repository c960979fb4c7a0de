"""What a process and its descendants listen on, and what a stranger without the token gets from them."""

import ipaddress

import grpc
import psutil
import requests
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


def ask_over_http(address):
    """Returns the status of a page that asks for a token where there is one; None where no HTTP is spoken."""
    try:
        return requests.get(f"http://{address}/", timeout=SECONDS).status_code
    except requests.RequestException:
        return None
