"""Which cage the code that runs now is in: a runtime that was entered, else the one that ``iron-cage start`` set up.

The rules:

- A context variable says which runtimes the present code is inside of, so that threads and asyncio tasks do not see
  each other's. A thread that entered none is inside of what the main thread is in.
- The environment is the process's: it names the runtime that was entered last, for clients that read ``OPENAI_BASE_URL``.
"""

from __future__ import annotations

import os
from contextvars import ContextVar

from ._errors import ServerUnreachable, error_from_answer
from ._http import Endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any, Protocol

    from ._http import Answer
    from ._runtime import AgentRuntime

    class Server(Protocol):
        """What an ``Endpoint`` can do, and a mocked server as well."""

        def request(self, method: str, path: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer: ...

        def stream(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[Answer, Iterator[bytes]]: ...


_TIMEOUT_S = 10.0

_endpoints: dict[str, Endpoint] = {}


class Link:
    """How a server is reached, and as whom.

    url: where it listens.
    token: a run token (``run_…``) or an API token (``ic_…``).
    server: answers its requests. (Default: whoever listens at ``url``.)
    agent_id: None when it is unknown.
    gateway: where its calls go, below ``url``. (Default: an address that holds a run token.)
    """

    __slots__ = ("_server", "agent_id", "gateway", "token", "url")

    def __init__(
        self,
        url: str,
        token: str,
        server: Server | None = None,
        agent_id: str | None = None,
        gateway: str | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.token = token
        self._server = server
        self.agent_id = agent_id
        self.gateway = gateway

    def with_token(self, token: str, agent_id: str, gateway: str | None = None) -> Link:
        """The same server, as somebody else. ``gateway``: the path that its calls go to."""
        return Link(self.url, token, self._server, agent_id, gateway and self.url + gateway)

    @property
    def server(self) -> Server:
        if self._server is not None:
            return self._server
        if self.url not in _endpoints:
            _endpoints[self.url] = Endpoint(self.url, timeout_s=_TIMEOUT_S)
        return _endpoints[self.url]

    @property
    def is_mocked(self) -> bool:
        return self._server is not None

    def call(self, method: str, path: str, body: Any = None, default: Callable[[Any], Any] | None = None) -> Any:
        """Asks ``/api/run`` and below. Returns what the JSON of the answer says, None without any.

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
        """What a client of ``openai`` or ``anthropic`` is made with: ``base_url`` and ``api_key``. ValueError for others."""
        if provider not in ("openai", "anthropic"):
            raise ValueError(f"expected 'openai' or 'anthropic', got {provider!r}")
        url = self.gateway_url(provider)
        key = self.client_key(os.environ.get(f"{provider.upper()}_API_KEY"))
        return {"base_url": f"{url}/v1" if provider == "openai" else url, "api_key": key}

    def client_key(self, own: str | None) -> str:
        """The key of a client: ``own``, unless that is none of a provider, or our token is how the server knows us.

        The server has a key of its own where a token is sent, but no client is made without any.
        """
        if self.token.startswith("ic_") or not own or own.startswith("run_"):
            return self.token
        return own


class Frame:
    """One runtime that the code is inside of, and those around it."""

    __slots__ = ("outer", "runtime")

    def __init__(self, runtime: AgentRuntime, outer: Frame | None) -> None:
        self.runtime = runtime
        self.outer = outer


#: What this thread or task entered.
entered: ContextVar[Frame | None] = ContextVar("iron_cage", default=None)
#: Runtimes that are open in this process, in the order in which they were entered; with each, whether in the main thread.
opened: list[tuple[AgentRuntime, bool]] = []


def current_runtime() -> AgentRuntime | None:
    """Returns the innermost runtime that the calling code is inside of; None outside of any.

    A program that ``iron-cage start`` runs is in a cage without being inside a runtime.
    """
    runtime = surrounding_runtime()
    return opened[-1][0] if runtime is None and opened else runtime


def surrounding_runtime() -> AgentRuntime | None:
    """The runtime that pays for whatever the calling code enters next.

    A thread that entered none belongs to the one that the main thread is in, which waits for it as a rule; it has nothing
    to do with those of other threads.
    """
    frame = entered.get()
    if frame is not None:
        return frame.runtime
    for runtime, is_in_main_thread in reversed(opened):
        if is_in_main_thread:
            return runtime
    return None


def is_caged() -> bool:
    return current_runtime() is not None or bool(os.environ.get("IRON_CAGE_URL"))


def current_link() -> Link:
    """Raises ServerUnreachable when there is no cage."""
    runtime = current_runtime()
    return runtime.link if runtime is not None else environment_link()


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
    """As ``iron-cage start`` says it; a ``gateway`` of another server is none."""
    return Link(url, token or "", gateway=gateway if gateway and gateway.startswith(url) else None)
