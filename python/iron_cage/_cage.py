"""How code enters and leaves a cage, and the server of a cage.

The budget is chosen when a cage is entered:

1. inside another runtime, or a protected function, it joins that one;
2. else it joins the server that ``IRON_CAGE_URL`` and ``IRON_CAGE_TOKEN`` name (``iron-cage start`` sets them);
3. else it starts a server with a new run, and stops the server when it is left.

Joining with a limit adds that limit within the one of the outer cage: the server counts each call toward both. Without
one the outer cage is used as it is.
"""

from __future__ import annotations

import os
import threading

from ._children import hand_down
from ._current import Frame, entered, innermost, opened, surrounding
from ._errors import IronCageError, refusal_in
from ._link import Link, environment_link, supervised_link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable
    from typing import Protocol

    from ._server import Server
    from ._wanted import WantedServer

    class Connector(Protocol):
        """Connects a cage when it is entered first. ``joined``: the cage around it, which is entered with it."""

        joined: Cage | None

        def connect(self) -> Link: ...
        def disconnect(self, error: BaseException | None) -> None: ...


#: Guards ``opened`` and the environment.
_process = threading.RLock()
#: The environment before the first runtime that is open now.
_outside: dict[str, str | None] = {}
#: The runtimes' changes to it.
_applied: dict[str, str | None] = {}


class Cage:
    """One cage: connected when it is entered first, entered by any number of threads and tasks at once.

    connector: the server and run that it connects to.
    runtime: the ``AgentRuntime`` that shows it.
    """

    def __init__(self, connector: Connector, runtime: object) -> None:
        self.runtime = runtime
        #: Whether its connection stays for the next entry, and whose function it protects.
        self.is_kept = False
        self.protected: object = None
        #: The environment variables that apply while it is the cage entered last.
        self.variables: dict[str, str | None] | None = None
        #: Cages of protected functions that are kept as long as this one is connected.
        self.kept_within: dict[Hashable, Cage] = {}
        self._connector = connector
        self._lock = threading.RLock()
        self._entries = 0
        self._process = os.getpid()
        self._link: Link | None = None

    @property
    def is_connected(self) -> bool:
        return self._link is not None

    @property
    def link(self) -> Link:
        """How the server is reached. Raises RuntimeError outside of the block."""
        if self._link is None:
            raise RuntimeError("this runtime has not been entered: write `with AgentRuntime(...) as runtime:`")
        return self._link

    def open(self, is_in_main_thread: bool) -> None:
        with self._lock:
            if self._entries == 0:
                if self._link is None:
                    self._connect()
                if self._connector.joined is not None:
                    self._connector.joined.open(False)
                self._entries = 1
                _add(self, is_in_main_thread)
            else:
                self._entries += 1

    async def open_async(self) -> None:
        """A server takes a while to start; other tasks run meanwhile."""
        import asyncio
        from contextvars import copy_context

        context, is_in_main_thread = copy_context(), is_main_thread()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, lambda: context.run(self.open, is_in_main_thread))

    def enter(self) -> None:
        """The calling code is inside of it from now on."""
        entered.set(Frame(self, entered.get()))

    def leave(self) -> None:
        frame = entered.get()
        # Not there in another context than the one that entered, as between the parts of a test's fixture.
        if frame is not None and frame.cage is self:
            entered.set(frame.outer)

    def close(self, error: BaseException | None) -> None:
        with self._lock:
            self._entries -= 1
            if self._entries > 0:
                return
            _remove(self)
            joined = self._connector.joined
            try:
                if not self.is_kept:
                    self.disconnect(error)
            finally:
                if joined is not None:
                    joined.close(None)

    def disconnect(self, error: BaseException | None) -> None:
        self._link = self.variables = None
        kept, self.kept_within = self.kept_within, {}
        # A forked child has a copy of this; the run is its parent's.
        if os.getpid() == self._process:
            for cage in kept.values():
                cage.disconnect(None)
        self._connector.disconnect(error)

    def _connect(self) -> None:
        try:
            self._link = self._connector.connect()
        except BaseException as error:
            self.disconnect(error)
            raise


class ServerConnector:
    """Joins the cage around the code, or a server; else starts a server."""

    def __init__(self, limit: str | None, name: str | None, wanted: WantedServer) -> None:
        self.joined: Cage | None = None
        self._limit = limit
        self._name = name
        self._wanted = wanted
        self._process = os.getpid()
        #: Ends with the connection: a separate token, within the cage around it or with a server.
        self._part: Link | None = None
        self._server: Server | None = None

    def connect(self) -> Link:
        self.joined = surrounding_cage()
        around = self.joined.link if self.joined is not None else _link_outside()
        if around is not None and self._wanted.db is None:
            return self._within(around)
        self.joined = None
        return self._on_own_server()

    def disconnect(self, error: BaseException | None) -> None:
        part, self._part, server, self._server, self.joined = self._part, None, self._server, None, None
        try:
            if part is not None and os.getpid() == self._process:
                part.call("POST", "/end", _end_of(error))
        except IronCageError:
            pass  # a server that is gone has ended the run itself
        finally:
            if server is not None:
                server.release()

    def _within(self, around: Link) -> Link:
        if self._wanted.config is not None:
            _warn("the configuration given here is not used: the server around this code has its own")
        if self._wanted.safety_mode == "block":
            mode = around.call("GET", "").get("safety_mode")
            if mode != "block":
                _warn(f"personal data is not blocked here: the cage around this code has safety mode {mode!r}")
        if self._limit is None:
            return around
        self._part = self._begin_part(around, self._limit)
        return self._part

    def _on_own_server(self) -> Link:
        from ._server import Server

        self._server = Server.join_or_start(self._wanted)
        agent = self._server.add_agent(self._name or _program_name(), self._limit)
        self._part = agent
        return self._begin_part(agent, None)

    def _begin_part(self, around: Link, limit: str | None) -> Link:
        # With it the server binds the part to this process, and no address needs to hold a token.
        asked = {"pid": os.getpid()} if limit is None else {"pid": os.getpid(), "budget_usd": limit}
        begun = around.call("POST", "/begin", asked)
        return around.with_token(begun["token"], begun["agent_id"], begun.get("gateway"))


def _warn(sentence: str) -> None:
    import warnings

    # Of the line that enters the block: _within, connect, _connect, open and __enter__ are between.
    warnings.warn(sentence, RuntimeWarning, stacklevel=7)


def innermost_cage() -> Cage | None:
    """The innermost cage that the calling code is inside of; None outside of any."""
    return _as_entered(innermost())


def surrounding_cage() -> Cage | None:
    """The cage that pays for the next cage that the calling code enters."""
    return _as_entered(surrounding())


def _as_entered(cage: object) -> Cage | None:
    """Nothing else is entered."""
    assert cage is None or isinstance(cage, Cage)
    return cage


def is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def is_supervised() -> bool:
    """Whether the environment, as it is outside of every runtime, names a server."""
    with _process:
        return bool(_outside["IRON_CAGE_URL"] if _outside else os.environ.get("IRON_CAGE_URL"))


def _link_outside() -> Link | None:
    with _process:
        if not is_supervised():
            return None
        if not _outside:
            return environment_link()
        return supervised_link(
            _outside["IRON_CAGE_URL"] or "", _outside["IRON_CAGE_TOKEN"], _outside["IRON_CAGE_GATEWAY_URL"]
        )


def _add(cage: Cage, is_in_main_thread: bool) -> None:
    with _process:
        if not opened:
            _outside.update({name: os.environ.get(name) for name in environment_of(cage.link)})
            _applied.update(_outside)
        if not opened or cage.variables is None:
            cage.variables = environment_of(cage.link)
            hand_down(cage.variables)
        opened.append((cage, is_in_main_thread))
        _apply(cage.variables)


def _remove(cage: Cage) -> None:
    with _process:
        opened[:] = [entry for entry in opened if entry[0] is not cage]
        last = _as_entered(opened[-1][0] if opened else None)
        _apply((last.variables if last else None) or _outside)
        if not opened:
            _outside.clear()


def _apply(variables: dict[str, str | None]) -> None:
    """Only changed variables: a variable takes microseconds, and this is part of each protected call."""
    for name, value in variables.items():
        if _applied[name] == value:
            continue
        _applied[name] = value
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def environment_of(link: Link) -> dict[str, str | None]:
    """The environment for an agent's clients, the same as under ``iron-cage start``."""
    openai, anthropic = f"{link.gateway_url('openai')}/v1", link.gateway_url("anthropic")

    def outside(name: str) -> str | None:
        return _outside[name] if _outside else os.environ.get(name)

    def unproxied(name: str) -> str:
        return ",".join(filter(None, [outside(name), "127.0.0.1,localhost,::1"]))

    # Google's clients prefer it, and warn when there are both.
    has_google_key = bool(os.environ.get("GOOGLE_API_KEY"))
    return {
        "OPENAI_BASE_URL": openai,
        "OPENAI_API_BASE": openai,
        "OPENAI_API_KEY": link.client_key(outside("OPENAI_API_KEY")),
        "ANTHROPIC_BASE_URL": anthropic,
        "ANTHROPIC_API_URL": anthropic,
        "ANTHROPIC_API_BASE": anthropic,
        "ANTHROPIC_API_KEY": link.client_key(outside("ANTHROPIC_API_KEY")),
        "GOOGLE_GEMINI_BASE_URL": link.gateway_url("google"),
        "GEMINI_API_KEY": outside("GEMINI_API_KEY") if has_google_key else link.client_key(outside("GEMINI_API_KEY")),
        "IRON_CAGE_GATEWAY_URL": link.gateway,
        "IRON_CAGE_URL": link.url,
        "IRON_CAGE_TOKEN": link.token,
        "IRON_CAGE_AGENT_ID": link.agent_id or outside("IRON_CAGE_AGENT_ID"),
        "NO_PROXY": unproxied("NO_PROXY"),
        "no_proxy": unproxied("no_proxy"),
    }


def _program_name() -> str:
    import sys

    program = os.path.splitext(os.path.basename(sys.argv[0] if sys.argv else ""))[0]
    return program if program not in ("", "-", "-c", "-m") else "python"


def _end_of(error: BaseException | None) -> dict[str, str]:
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return {"state": "completed"}
    refusal = refusal_in(error)
    return {"state": "failed", "reason": refusal.code if refusal is not None else type(error).__name__}
