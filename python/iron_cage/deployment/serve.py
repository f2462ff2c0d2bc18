"""Answers calls of an agent over HTTP on this machine: ``python serve.py --port 8000``. Needs the standard library only.

``GET /health`` answers 200. ``POST /run`` takes ``{"inputs": …}`` and answers ``{"status": "success", "output": …}``, or
``{"status": "error", "error": {"type", "message"}}`` with 400 for a bad request and 500 for an agent that failed.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Callable

import caged_agent  # type: ignore[import-not-found]  # beside this script

#: Longest body of a call, in bytes.
MAX_BODY_BYTES = 10 * 1024 * 1024


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    agent: Callable[[Any], Any]

    def do_GET(self) -> None:
        if self.path == "/health":
            self._answer(200, {"status": "ok"})
        else:
            self._fail(404, "NotFound", f"there is no {self.path}: POST /run")

    def do_POST(self) -> None:
        # A page of another site can send neither without being asked first.
        if self.headers.get_content_type() != "application/json" or not _is_local(self.headers.get("host", "")):
            self.close_connection = True
            return self._fail(400, "BadRequest", "calls are JSON, from this machine")
        size = int(self.headers.get("content-length") or 0)
        if self.path != "/run" or size > MAX_BODY_BYTES:
            self.close_connection = True
            return self._fail(400, "BadRequest", f"POST at most {MAX_BODY_BYTES} bytes to /run")
        try:
            inputs = json.loads(self.rfile.read(size))["inputs"]
        except (ValueError, KeyError, TypeError):
            return self._fail(400, "BadRequest", 'the body must be JSON: {"inputs": …}')
        try:
            self._answer(200, {"status": "success", "output": self.agent(inputs)})
        except Exception as error:  # noqa: BLE001 - every exception of an agent is the reply to this one call
            print(f"{type(error).__name__}: {error}", file=sys.stderr, flush=True)
            self._fail(500, type(error).__name__, str(error))

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def _fail(self, status: int, kind: str, message: str) -> None:
        self._answer(status, {"status": "error", "error": {"type": kind, "message": message}})

    def _answer(self, status: int, reply: object) -> None:
        body = json.dumps(reply, default=str).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def _is_local(host: str) -> bool:
    return host.rsplit(":", 1)[0] in ("127.0.0.1", "localhost")


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Callers may hang up; anything else is written to stderr."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def serve(port: int, agent: Callable[[Any], Any]) -> None:
    """Answers calls with the agent's return value, until SIGTERM or SIGINT; calls that run then are abandoned."""
    handler = type("Handler", (_Handler,), {"agent": staticmethod(agent)})
    server = _Server(("127.0.0.1", port), handler)
    for name in (signal.SIGTERM, signal.SIGINT):
        signal.signal(name, lambda *_: threading.Thread(target=server.shutdown).start())
    print(f"ready for calls at http://127.0.0.1:{server.server_port}/run", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    serve(parser.parse_args().port, caged_agent.call)
