"""A proxy before an HTTP server that fails a share of the requests, as networks and servers do."""

import http.client
import random
import socket
import struct
import threading
import time
from collections import Counter
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FAULTS = ("busy", "reset", "reply lost", "cut", "slow")
HOP_BY_HOP = {"connection", "expect", "keep-alive", "transfer-encoding", "content-length"}
SLOW = 0.2  # seconds


class Proxy(ThreadingHTTPServer):
    """Passes requests on to `target`, and spoils a share of them.

    - "busy": it answers 503 and passes nothing on.
    - "reset": it resets the connection and passes nothing on.
    - "reply lost": it passes the request on, and resets the connection before the reply.
    - "cut": the same in the middle of the reply.
    - "slow": it takes its time.

    Attributes:
        faults: how often each has happened.
        requests: how many requests have come.
    """

    daemon_threads = True

    def __init__(self, target, seed, share):
        super().__init__(("127.0.0.1", 0), Handler)
        self.target, self.share, self.chance = urlsplit(target).netloc, share, random.Random(seed)
        self.faults, self.requests, self.lock = Counter(), 0, threading.Lock()

    @property
    def uri(self):
        return f"http://127.0.0.1:{self.server_port}"

    def draw(self):
        """Returns the fault of the next request, or None."""
        with self.lock:
            self.requests += 1
            fault = self.chance.choice(FAULTS) if self.chance.random() < self.share else None
            if fault:
                self.faults[fault] += 1
            return fault

    def handle_error(self, request, client_address):
        pass  # a connection that was reset


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *arguments):
        pass

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.draw()
        if fault == "busy":
            self.reply(503, [], b"")
            return
        if fault == "reset":
            self.reset()
        if fault == "slow":
            time.sleep(SLOW)
        server = http.client.HTTPConnection(self.server.target, timeout=60)
        try:
            headers = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
            server.request(self.command, self.path, body, headers)
            answer = server.getresponse()
            content = answer.read()
        finally:
            server.close()
        if fault == "reply lost":
            self.reset()
        self.reply(answer.status, answer.getheaders(), content, cut=fault == "cut")

    def reply(self, status, headers, content, cut=False):
        length = str(len(content))
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() == "content-length":
                length = value  # a HEAD's has no content
            elif name.lower() not in HOP_BY_HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        self.wfile.write(content[: len(content) // 2] if cut else content)
        if cut:
            self.wfile.flush()
            self.reset()

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise ConnectionAbortedError

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = pass_on


@contextmanager
def bad_network(target, seed, share=0.1):
    """Starts a proxy before `target` that spoils a share of the requests."""
    proxy = Proxy(target, seed, share)
    thread = threading.Thread(target=proxy.serve_forever, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        proxy.server_close()
        thread.join()
