"""HTTP as the other modules need it: keep-alive, safe for threads and forks, with a timeout, and without proxies.

``http.client`` never reads proxy variables. A request that fails before an answer came is not repeated here: it may have
cost money. Instead an idle connection is not used again when its server has closed it or soon may.
"""

from __future__ import annotations

import os
import time

from ._errors import ServerUnreachable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from http.client import HTTPConnection, HTTPResponse

# Node closes a connection after 5 s of silence; stay clear of that moment.
_IDLE_S = 3.0


class Answer:
    """A whole answer; the names of its headers are in lower case."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status: int = status
        self.headers: Mapping[str, str] = headers
        self.body: bytes = body


class Endpoint:
    """One base URL and the idle connections to it."""

    def __init__(self, base_url: str, *, timeout_s: float) -> None:
        from urllib.parse import urlsplit

        # (process, since when it is idle, connection). A list's append and pop are atomic: no lock that a fork could
        # copy while it is taken.
        self._idle: list[tuple[int, float, HTTPConnection]] = []
        parts = urlsplit(base_url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"expected a URL that begins with http:// or https://, got {base_url!r}")
        self._base_url = base_url
        self._secure = parts.scheme == "https"
        self._host = parts.hostname
        self._port = parts.port
        self._path = parts.path.rstrip("/")
        self._timeout_s = timeout_s

    def __del__(self) -> None:
        for _, _, connection in self._idle:
            connection.close()

    def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
        """Raises ServerUnreachable when no whole answer comes."""
        connection = self._take()
        try:
            response = self._send(connection, method, path, headers, body)
            whole = response.read()
        except BaseException as error:
            connection.close()
            self._raise_unreachable(error)
            raise
        self._give_back(connection, response)
        return Answer(response.status, _lower_case(response), whole)

    def stream(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[Answer, Iterator[bytes]]:
        """POSTs and returns the head of the answer (its body empty) and the body's lines as they come.

        Raises ServerUnreachable, also while the lines are read. A connection that was not read to its end is closed.
        """
        connection = self._take()
        try:
            response = self._send(connection, "POST", path, headers, body)
        except BaseException as error:
            connection.close()
            self._raise_unreachable(error)
            raise
        return Answer(response.status, _lower_case(response), b""), self._lines(connection, response)

    def _lines(self, connection: HTTPConnection, response: HTTPResponse) -> Iterator[bytes]:
        try:
            while line := response.readline():
                yield line
        except Exception as error:
            self._raise_unreachable(error)
            raise
        finally:
            # http.client closes a chunked response at its end; one of a known length it leaves open.
            if response.isclosed() or response.length == 0:
                self._give_back(connection, response)
            else:
                connection.close()

    def _send(
        self, connection: HTTPConnection, method: str, path: str, headers: Mapping[str, str], body: bytes | None
    ) -> HTTPResponse:
        connection.request(method, self._path + path, body=body, headers=dict(headers))
        return connection.getresponse()

    def _take(self) -> HTTPConnection:
        while self._idle:
            try:
                process, since, connection = self._idle.pop()
            except IndexError:  # another thread was faster
                break
            # A parent's connection is the parent's: two processes must not write to one socket.
            if process == os.getpid() and time.monotonic() - since < _IDLE_S and not _readable(connection):
                return connection
            connection.close()
        from http.client import HTTPConnection, HTTPSConnection

        kind = HTTPSConnection if self._secure else HTTPConnection
        return kind(self._host, self._port, timeout=self._timeout_s)

    def _give_back(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        if response.will_close:
            connection.close()
        else:
            response.close()  # without it http.client refuses the next request
            self._idle.append((os.getpid(), time.monotonic(), connection))

    def _raise_unreachable(self, error: BaseException) -> None:
        """Raises ServerUnreachable when ``error`` means that, and returns otherwise."""
        import socket
        from http.client import HTTPException

        if not isinstance(error, (OSError, HTTPException)):
            return
        # Python 3.9 has two kinds of timeout.
        timeout = isinstance(error, (TimeoutError, socket.timeout))
        why = f"no answer within {self._timeout_s:g} s" if timeout else _reason(error)
        # Only the origin: the path of a gateway URL holds the run token.
        origin = f"{'https' if self._secure else 'http'}://{self._host}" + (f":{self._port}" if self._port else "")
        raise ServerUnreachable(
            f"{origin} is not reachable: {why}",
            code="server_unreachable",
            hint='see whether it runs with "iron-cage status"',
            facts={"url": origin},
        ) from error


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error)
    return text if text else type(error).__name__


def _readable(connection: HTTPConnection) -> bool:
    """An idle connection has something to read only when the other side has closed it (or broken the protocol)."""
    import select

    if connection.sock is None:
        return True
    if hasattr(select, "poll"):  # unlike select, it takes descriptors above 1,023
        poll = select.poll()
        poll.register(connection.sock, select.POLLIN)
        return bool(poll.poll(0))
    return bool(select.select([connection.sock], [], [], 0)[0])


def _lower_case(response: HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in response.getheaders()}
