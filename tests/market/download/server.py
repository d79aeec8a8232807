"""A real HTTP server on this machine that answers as the venues document, and misbehaves on
request.
"""

from __future__ import annotations

import email.utils
import hashlib
import re
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

Answer = tuple[int, bytes, dict[str, str]]
Route = Callable[..., "Answer | bytes | None"]


@dataclass
class Fault:
    """What to do to the next `times` requests whose address matches: a status, or a treatment of
    the right answer.

    kind: "status", "truncate" (half the body, then the end of the connection), "reset" (half, then
    RST), "drip" (a byte at a time, `seconds` apart), "body" (another body), "unsaid" (its length is
    not told), "slow" (wait `seconds` first), "edit" (`change` of the body, told as if it were the
    right one).
    """

    match: str
    kind: str
    times: int = 1
    status: int = 500
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    seconds: float = 0.05
    change: Callable[[bytes], bytes] | None = None


class Server:
    """Routes are (pattern, function of the match and the query); the first that matches answers;
    None is 404.
    """

    def __init__(self) -> None:
        self.now_ms = 1_710_074_700_000  # 2024-03-10 12:45 UTC
        self.routes: list[tuple[str, Route]] = []
        self.faults: list[Fault] = []
        self.log: list[str] = []
        self.ranges: list[str] = []
        self.ranged = True
        self.lock = threading.Lock()
        self.http = _Threads(("127.0.0.1", 0), _Handler)
        self.http.world = self
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        threading.Thread(
            target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()

    def route(self, pattern: str) -> Callable[[Route], Route]:
        def add(function: Route) -> Route:
            self.routes.append((pattern, function))
            return function

        return add

    def asked(self, pattern: str) -> list[str]:
        with self.lock:
            return [line for line in self.log if re.search(pattern, line)]

    def fault(self, match: str, kind: str, **how: Any) -> None:
        with self.lock:
            self.faults.append(Fault(match, kind, **how))

    def take_fault(self, address: str) -> Fault | None:
        with self.lock:
            self.log.append(address)
            for fault in self.faults:
                if fault.times > 0 and re.search(fault.match, address):
                    fault.times -= 1
                    return fault
        return None

    def answer(self, path: str, query: dict[str, str]) -> Answer:
        for pattern, function in self.routes:
            match = re.fullmatch(pattern, path)
            if match:
                found = function(match, query)
                if found is None:
                    break
                return (200, found, {}) if isinstance(found, bytes) else found
        return 404, b"<Error><Code>NoSuchKey</Code></Error>", {}


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    world: Server

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Threads

    def log_message(self, *args: Any) -> None:
        """Silent."""

    def do_POST(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        server = self.server.world
        length = int(self.headers.get("Content-Length") or 0)
        posted = self.rfile.read(length).decode() if length else ""
        parts = urlsplit(self.path)
        address = unquote(self.path) + (f" {posted}" if posted else "")
        fault = server.take_fault(address)
        if fault and fault.kind == "slow":
            time.sleep(fault.seconds)
            fault = None
        status, body, headers = server.answer(
            unquote(parts.path), dict(parse_qsl(parts.query)) | ({"body": posted} if posted else {})
        )
        headers = dict(headers)
        if fault and fault.kind == "status":
            status, body, headers = fault.status, fault.body or b"{}", fault.headers
        if fault and fault.kind == "body":
            body = fault.body
        if fault and fault.change:
            body = fault.change(body)
        whole = body
        if status == 200 and server.ranged and self.path.endswith((".zip", ".gz")):
            tag = f'"{hashlib.md5(body).hexdigest()}"'
            headers["ETag"] = tag
            wanted = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            if wanted and self.headers.get("If-Range") == tag:
                server.ranges.append(f"{parts.path} {wanted[1]}")
                start = int(wanted[1])
                status, body = 206, body[start:]
                headers["Content-Range"] = f"bytes {start}-{len(whole) - 1}/{len(whole)}"
        self._send(status, body, headers, fault)

    def _send(self, status: int, body: bytes, headers: dict[str, str], fault: Fault | None) -> None:
        self.send_response_only(status)
        self.send_header(
            "Date", email.utils.formatdate(self.server.world.now_ms / 1000, usegmt=True)
        )
        self.send_header("Content-Type", "application/json")
        if fault and fault.kind == "unsaid":
            self.send_header("Connection", "close")
        else:
            self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        kind = fault.kind if fault else ""
        with suppress(OSError):
            if kind in ("truncate", "reset"):
                self.wfile.write(body[: len(body) // 2])
                self.wfile.flush()
                if kind == "reset":
                    self.connection.setsockopt(
                        socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                    )
                self.close_connection = True
                if kind == "truncate":
                    self.connection.shutdown(socket.SHUT_WR)
                self.connection.close()
            elif kind == "drip" and fault:
                for byte in body:
                    self.wfile.write(bytes([byte]))
                    self.wfile.flush()
                    time.sleep(fault.seconds)
            else:
                self.wfile.write(body)
