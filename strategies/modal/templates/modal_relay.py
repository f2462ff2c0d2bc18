"""The gateway, as a container at Modal sees it: what it is asked goes into a queue, and the reply comes out of it.

A request is ``{"id", "method", "path", "headers", "pieces"}`` in the queue's default partition and its body, in that many pieces,
in the partition ``<id>.up``. The reply is ``{"status", "headers"}`` in ``<id>.down``, then pieces of its body, then None; or False
when it ended early, which the agent sees as a broken connection.
"""

from __future__ import annotations

import threading
import urllib.parse
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import modal

#: An item of a queue may have a megabyte.
PIECE_BYTES = 512 * 1024
#: Longest silence of a reply, in seconds.
TIMEOUT_S = 600
#: What nobody takes out is removed after this time, in seconds.
TTL_S = 3600
#: Headers that belong to one connection.
OF_THE_CONNECTION = frozenset({"connection", "host", "keep-alive", "transfer-encoding", "upgrade", "te", "trailer"})

_lock = threading.Lock()
_server: ThreadingHTTPServer | None = None


def serve(address: str, calls: modal.Queue) -> None:
    """Listens at the address, once in each container."""
    global _server
    with _lock:
        if _server is not None:
            return
        url = urllib.parse.urlsplit(address)
        handler = type("Handler", (_Handler,), {"calls": calls})
        _server = ThreadingHTTPServer((url.hostname or "127.0.0.1", url.port or 80), handler)
        _server.daemon_threads = True
        threading.Thread(target=_server.serve_forever, daemon=True).start()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    calls: modal.Queue

    def _pass(self) -> None:
        if "transfer-encoding" in self.headers:
            self.close_connection = True
            return self.send_error(411)
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        pieces = [body[at : at + PIECE_BYTES] for at in range(0, len(body), PIECE_BYTES)]
        call_id = uuid.uuid4().hex
        for piece in pieces:
            self.calls.put(piece, partition=f"{call_id}.up", partition_ttl=TTL_S)
        request = {"id": call_id, "method": self.command, "path": self.path, "pieces": len(pieces)}
        self.calls.put({**request, "headers": passed_on(self.headers.items())})
        head = self._next(call_id)
        if head is False:
            self.close_connection = True
            return
        has_length = any(name.lower() == "content-length" for name, _ in head["headers"])
        self.send_response_only(head["status"])
        for name, value in head["headers"]:
            self.send_header(name, value)
        if not has_length:
            self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        while (piece := self._next(call_id)) is not None:
            if piece is False:
                self.close_connection = True
                return
            self.wfile.write(piece if has_length else b"%x\r\n%b\r\n" % (len(piece), piece))
        if not has_length:
            self.wfile.write(b"0\r\n\r\n")

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _pass

    def _next(self, call_id: str):  # type: ignore[no-untyped-def]  # one of the items that the module's text lists
        return self.calls.get(timeout=TIMEOUT_S, partition=f"{call_id}.down")

    def log_message(self, format: str, *args: object) -> None:
        pass


def passed_on(headers) -> list[tuple[str, str]]:  # type: ignore[no-untyped-def]
    """The headers that are not of one connection."""
    return [(name, value) for name, value in headers if name.lower() not in OF_THE_CONNECTION]
