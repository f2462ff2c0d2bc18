"""A Control Panel in a separate process, and a server between it and a machine that keeps their messages."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from program import PROGRAM
from server import Answer, Request, Server

Message = dict[str, Any]
#: Longer than a request for news waits.
_TIMEOUT_S = 60


def command(folder: Path, *words: str, **environment: str) -> str:
    """Runs the program to its end, and returns its output."""
    done = subprocess.run(
        ["node", str(PROGRAM), *words], cwd=folder, capture_output=True, text=True, env={**os.environ, **environment}
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@contextmanager
def open_panel(folder: Path) -> Iterator[str]:
    """A link to a panel on the SQLite file of this folder, which signs in an admin once, until the panel is stopped."""
    panel = subprocess.Popen(
        ["node", str(PROGRAM), "panel", "--port", "0"], cwd=folder, stdout=subprocess.PIPE, text=True
    )
    try:
        assert panel.stdout is not None
        shown = (re.search(r"http://\S+", line) for line in panel.stdout)
        yield next(link[0] for link in shown if link)
    finally:
        panel.send_signal(signal.SIGTERM)
        panel.communicate(timeout=_TIMEOUT_S)


def put_copy_in_place(folder: Path) -> None:
    """The panel's file becomes another one with the same contents, as a restored one is: its books may lack something."""
    file = folder / "iron_panel.db"
    shutil.copyfile(file, folder / "copy.db")
    os.replace(folder / "copy.db", file)


class Listener:
    """Hands requests on to a panel, and keeps them with the answers."""

    def __init__(self) -> None:
        #: Its URL.
        self.panel = ""
        #: Path, request and answer.
        self.heard: list[tuple[str, Message, Message]] = []
        self._server = Server()
        self._server.answer = self._hand_on
        self.url = self._server.url
        self.close = self._server.close

    def messages(self, path: str) -> tuple[list[Message], list[Message]]:
        """The messages and answers on this path, without the missing answers."""
        said = [(body, answer) for heard, body, answer in self.heard if heard == path]
        return [body for body, _ in said], [answer for _, answer in said if answer is not None]

    def _hand_on(self, request: Request) -> Answer:
        method, path, headers, body, _ = request
        sent = None if body is None else json.dumps(body).encode()
        known = {name: headers[name] for name in ("authorization", "content-type") if name in headers}
        try:
            with urllib.request.urlopen(
                urllib.request.Request(self.panel + path, sent, known, method=method), timeout=_TIMEOUT_S
            ) as response:
                status, text = response.status, response.read()
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read(), {"content-type": "application/json"})
        except OSError:
            return Answer(503)
        answer = json.loads(text) if text else None
        self.heard.append((path, body, answer))
        return Answer(status, answer, {"content-type": "application/json"})
