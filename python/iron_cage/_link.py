"""How a server is reached, and as whom."""

from __future__ import annotations

import os

from ._errors import ServerUnreachable, error_from_answer
from ._http import Endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Protocol

    from ._http import Answer

    class Transport(Protocol):
        """The methods of an ``Endpoint`` and of a mocked server."""

        def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer: ...

        def stream(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[Answer, Iterator[bytes]]: ...


_TIMEOUT_S = 10.0

_endpoints: dict[str, Endpoint] = {}


class Link:
    """How a server is reached, and as whom.

    url: where it listens.
    token: a run token (``run_…``) or an API token (``ic_…``).
    server: answers its requests. (Default: the server at ``url``.)
    agent_id: None when it is unknown.
    gateway: where its calls go, below ``url``. (Default: an address that holds a run token.)
    """

    __slots__ = ("_server", "agent_id", "gateway", "token", "url")

    def __init__(
        self,
        url: str,
        token: str,
        server: Transport | None = None,
        agent_id: str | None = None,
        gateway: str | None = None,
    ) -> None:
        self.url: str = url.rstrip("/")
        self.token: str = token
        self._server = server
        self.agent_id: str | None = agent_id
        self.gateway: str | None = gateway

    def with_token(self, token: str, agent_id: str, gateway: str | None = None) -> Link:
        """The same server, as another caller. ``gateway``: the path that its calls go to."""
        return Link(self.url, token, self._server, agent_id, gateway and self.url + gateway)

    @property
    def server(self) -> Transport:
        if self._server is not None:
            return self._server
        if self.url not in _endpoints:
            _endpoints[self.url] = Endpoint(self.url, timeout_s=_TIMEOUT_S)
        return _endpoints[self.url]

    @property
    def is_mocked(self) -> bool:
        return self._server is not None

    def call(self, method: str, path: str, body: Any = None, default: Callable[[Any], Any] | None = None) -> Any:
        """Asks ``/api/run`` and below. Returns the JSON of the answer, None without any.

        Raises IronCageError for a refusal, ServerUnreachable.
        """
        return self.ask(method, f"/api/run{path}", body, default)

    def ask(self, method: str, path: str, body: Any = None, default: Callable[[Any], Any] | None = None) -> Any:
        import json

        headers = {"Authorization": f"Bearer {self.token}"}
        content = None
        if body is not None:
            content = json.dumps(body, default=default, allow_nan=False).encode()
            headers["Content-Type"] = "application/json"
        answer = self.server.request(method, path, headers, content)
        if answer.status >= 400:
            raise error_from_answer(answer.status, answer.body, answer.headers)
        return json.loads(answer.body) if answer.body else None

    def gateway_url(self, name: str) -> str:
        """The address of a provider or, as ``services/<name>``, of a service."""
        from urllib.parse import quote

        if self.gateway:
            return f"{self.gateway}/{quote(name)}"
        run = f"/{quote(self.token, safe='')}" if not self.token.startswith("ic_") else ""
        return f"{self.url}/gateway{run}/{quote(name)}"

    def client_options(self, provider: str) -> dict[str, str]:
        """The arguments of a client of ``openai`` or ``anthropic``: ``base_url`` and ``api_key``. ValueError for others."""
        if provider not in ("openai", "anthropic"):
            raise ValueError(f"expected 'openai' or 'anthropic', got {provider!r}")
        url = self.gateway_url(provider)
        key = self.client_key(os.environ.get(f"{provider.upper()}_API_KEY"))
        return {"base_url": f"{url}/v1" if provider == "openai" else url, "api_key": key}

    def client_key(self, own: str | None) -> str:
        """The key of a client: ``own``, unless that is none of a provider, or our token is how the server knows us.

        The server adds the provider's key, but clients refuse to start without one.
        """
        if self.token.startswith("ic_") or not own or own.startswith("run_"):
            return self.token
        return own


def environment_link() -> Link:
    """The server that the environment names. Raises ServerUnreachable when it names none."""
    url = os.environ.get("IRON_CAGE_URL")
    if not url:
        raise ServerUnreachable(
            "this agent does not run under Iron Cage",
            code="server_unreachable",
            hint='start it with "iron-cage start <script>", or set IRON_CAGE_URL and IRON_CAGE_TOKEN',
        )
    return supervised_link(url, os.environ.get("IRON_CAGE_TOKEN"), os.environ.get("IRON_CAGE_GATEWAY_URL"))


def supervised_link(url: str, token: str | None, gateway: str | None) -> Link:
    """The values that ``iron-cage start`` set; a ``gateway`` of another server is ignored."""
    return Link(url, token or "", gateway=gateway if gateway and gateway.startswith(url) else None)
