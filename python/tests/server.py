"""A real HTTP server in this process that gives scripted answers and remembers the requests."""

from __future__ import annotations

import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Callable, NamedTuple
from unittest import TestCase, mock

# The package beside the tests, not an installed one. Tests import this module before it.
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
import iron_cage._link  # noqa: E402
import iron_cage._run  # noqa: E402


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: Any
    #: The client's end of the connection: the same twice means that the connection was kept.
    client: tuple[str, int]


class Answer(NamedTuple):
    status: int = 200
    body: Any = None
    headers: dict[str, str] = {}
    #: Close the connection after it, without a word, as a server does with an idle one.
    hang_up: bool = False


class Server:
    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], Answer] = lambda request: Answer(204)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def serve(self) -> None:
                length = int(self.headers.get("content-length") or 0)
                raw = self.rfile.read(length)
                headers = {name.lower(): value for name, value in self.headers.items()}
                request = Request(
                    self.command, self.path, headers, json.loads(raw) if raw else None, self.client_address
                )
                outer.requests.append(request)
                answer = outer.answer(request)
                if isinstance(answer.body, bytes):
                    body = answer.body
                else:
                    body = b"" if answer.body is None else json.dumps(answer.body).encode()
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                if "content-length" not in answer.headers and answer.status != 204:
                    self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
                if answer.hang_up:
                    self.close_connection = True

            do_GET = do_POST = do_PUT = serve

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class CagedTestCase(TestCase):
    """Runs each test as an agent whose server is ``self.server``."""

    def setUp(self) -> None:
        self.server = Server()
        self.addCleanup(self.server.close)
        environment = {
            "IRON_CAGE_URL": self.server.url,
            "IRON_CAGE_TOKEN": "run-token",
            "OPENAI_BASE_URL": f"{self.server.url}/gateway/run-token/openai/v1",
            "OPENAI_API_KEY": "sk-test",
            # Proxies are for the outside world; the server is not there.
            "HTTP_PROXY": "http://127.0.0.1:9",
            "http_proxy": "http://127.0.0.1:9",
        }
        patch = mock.patch.dict(os.environ, environment)
        patch.start()
        self.addCleanup(patch.stop)
        iron_cage._link._endpoints.clear()
        iron_cage._run._warned = False

    def answer(self, status: int = 200, body: Any = None, **headers: str) -> None:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        self.server.answer = lambda request: Answer(status, body, names)

    def refuse(self, status: int, code: str, message: str = "no", facts: Any = None, **headers: str) -> None:
        error = {"code": code, "message": message, "hint": "do this", "request_id": "req-1", "facts": facts or {}}
        self.answer(status, {"error": error}, **headers)

    @property
    def last(self) -> Request:
        return self.server.requests[-1]
