"""Requests to a server, which is tried three times when it cannot be reached."""

from __future__ import annotations

import os
import time
from typing import Any

import httpx

from . import places, saved_tokens
from .errors import CliError, NotConnected
from .places import Server

_TRIES = 3
#: The waits before the second and the third attempt, in seconds.
_BACKOFF_S = (0.2, 0.6)
_TIMEOUT_S = 30.0


class Client:
    """The server at IRON_CAGE_URL or IRON_API_URL, else the one that uses the database of this folder.

    Its token is IRON_CAGE_TOKEN, else the saved login at that address.
    """

    def __init__(self) -> None:
        self._token = os.environ.get("IRON_CAGE_TOKEN")
        self._address = places.named_address()

    def send(self, method: str, path: str, body: dict[str, Any] | None = None, signed_in: bool = True) -> Any:
        """The body of the reply, None when it has none.

        Raises CliError: ``server_unreachable`` after three attempts, else the server's error.
        """
        for attempt in range(_TRIES):
            try:
                return _send_once(self.server(signed_in), method, path, body)
            except NotConnected as error:
                if attempt == _TRIES - 1:
                    raise CliError(
                        "server_unreachable",
                        f"{error}, tried {_TRIES} times",
                        'start one with "iron-cage serve", or set IRON_CAGE_URL',
                    ) from None
                time.sleep(_BACKOFF_S[attempt])

    def server(self, signed_in: bool = True) -> Server:
        """Looked up at each attempt, so that one that is just starting is found. Raises NotConnected, CliError."""
        if self._address is None:
            return places.local_server(places.database())
        if not signed_in:
            return Server(self._address, None)
        return Server(self._address, self._token or self._login(self._address))

    def _login(self, url: str) -> str | None:
        def renew(refresh_token: str) -> Any:
            return _send_once(Server(url, None), "POST", "/api/auth/refresh", {"refresh_token": refresh_token})

        return saved_tokens.access_token(places.tokens_file(), url, renew)


def _send_once(server: Server, method: str, path: str, body: dict[str, Any] | None) -> Any:
    headers = {} if server.token is None else {"authorization": f"Bearer {server.token}"}
    try:
        reply = httpx.request(method, server.url + path, headers=headers, json=body, timeout=_TIMEOUT_S)
    except (httpx.ConnectError, httpx.ConnectTimeout) as error:
        raise NotConnected(f"no server answers at {server.url} ({error})") from None
    except httpx.HTTPError as error:
        raise CliError(
            "server_unreachable",
            f"the connection to {server.url} broke ({error or type(error).__name__})",
            'check with "iron-cli-py health" whether it was done',
        ) from None
    return _read(server.url, reply)


def _read(url: str, reply: httpx.Response) -> Any:
    if reply.status_code == 204:
        return None
    try:
        content = reply.json()
    except ValueError:
        content = None
    if reply.is_success and content is not None:
        return content
    error = content.get("error") if isinstance(content, dict) else None
    if isinstance(error, dict) and isinstance(error.get("code"), str) and isinstance(error.get("message"), str):
        raise CliError(error["code"], error["message"], error.get("hint"), reply.status_code)
    # Another program's server may answer 200 as well, but not in JSON.
    raise CliError("server_unreachable", f"what answers at {url} is not Iron Cage (status {reply.status_code})")
