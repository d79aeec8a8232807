"""A mock exchange on loopback: the REST interface of Binance and Bybit over recorded or synthetic
tables, with its own clock and injected faults.
"""

from __future__ import annotations

import email.utils
import json
import socket
import struct
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from experiments.live.mock_answers import answer_of
from experiments.live.mock_world import World


class MockExchange:
    """The server of a world; `url` is its address."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._http = _Threads(("127.0.0.1", 0), _Handler)
        self._http.world = world
        self.url = f"http://127.0.0.1:{self._http.server_port}"
        threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True
        ).start()

    def close(self) -> None:
        """Stop serving."""
        self._http.shutdown()
        self._http.server_close()


class _Threads(ThreadingHTTPServer):
    daemon_threads = True
    world: World

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect or are killed: the studies kill them on purpose."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Threads

    def log_message(self, *args: Any) -> None:
        """Write no log line for a request."""

    def do_GET(self) -> None:
        """Answer the request, or apply the fault that is due."""
        world = self.server.world
        parts = urlsplit(self.path)
        fault = world.fault(self.path)
        kind = fault.kind if fault else ""
        if fault and kind == "slow":
            time.sleep(fault.seconds)
        if fault and kind == "status":
            self._send(fault.status, b"{}", {"Retry-After": "0"})
            return
        found = answer_of(world, parts.path, dict(parse_qsl(parts.query)), kind)
        body = b"<html>maintenance</html>" if kind == "page" else json.dumps(found).encode()
        if kind in ("reset", "truncate"):
            self._break(body, kind)
            return
        status = 200 if found is not None or kind == "null" else 404
        if isinstance(found, dict) and found.get("code") == -1121:
            status = 400
        self._send(status, body, {})

    def _send(self, status: int, body: bytes, headers: dict[str, str], short: int = 0) -> None:
        with suppress(OSError):
            self.send_response_only(status)
            now = self.server.world.now_ms / 1000
            self.send_header("Date", email.utils.formatdate(now, usegmt=True))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body) + short))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

    def _break(self, body: bytes, kind: str) -> None:
        """Send half of the answer, then close the connection."""
        half = len(body) // 2
        self._send(200, body[:half], {}, short=len(body) - half)
        with suppress(OSError):
            if kind == "reset":
                self.connection.setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
                )
            else:
                self.connection.shutdown(socket.SHUT_WR)
            self.connection.close()
        self.close_connection = True
