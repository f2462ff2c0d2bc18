"""``AgentRuntime``: a block of code that runs in a cage, however the program was started.

The budget is chosen when a runtime is entered:

1. inside another runtime, or a protected function, it joins that one;
2. else it joins the server that ``IRON_CAGE_URL`` and ``IRON_CAGE_TOKEN`` name (``iron-cage start`` sets them);
3. else it starts a server, has a run of its own there, and stops the server when the block ends.

Joining with a ``budget`` adds a hard limit within that of the outer cage: the server counts each call toward both.
Without one the outer cage is used as it is.
"""

from __future__ import annotations

import os
import threading

from ._current import Frame, entered, innermost, opened, surrounding
from ._errors import IronCageError, refusal_in
from ._link import Link, environment_link, supervised_link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Hashable
    from decimal import Decimal
    from types import TracebackType
    from typing import Any, Literal, Union

    from typing_extensions import Self

    from ._server import Server
    from ._values import Budget, Metrics, ScanResult

    #: US dollars. A float means what it prints as.
    Money = Union[str, int, float, Decimal]
    #: ``True`` redacts. ``"block"`` refuses a reply with personal data; ``"warn"``, and ``False``, only count it.
    PiiDetection = Union[bool, Literal["redact", "block", "warn"]]

DEFAULT_BUDGET_USD = "100"

#: Guards ``opened`` and the environment.
_process = threading.RLock()
#: What the environment was before the first runtime that is open now.
_outside: dict[str, str | None] = {}
#: What the runtimes have made of it.
_applied: dict[str, str | None] = {}


class AgentRuntime:
    """A cage for a block of code: ``with AgentRuntime(budget=5) as runtime:``, or ``async with``.

    budget: hard limit in US dollars of all that the block pays for. (Default: 100 with a server of its own; otherwise
        what the cage around it has left.)
    pii_detection: ``True`` or ``"redact"`` redacts replies, ``"block"`` refuses a reply with personal data,
        ``"warn"`` and ``False`` only count it. A joined cage keeps its own mode; ``"block"`` warns if that is another.
    name: the agent's name on the dashboard; its checkpoint is stored under it. (Default: the program's.)
    db: database file of the server that it starts, kept afterwards. When a server has this file already, that one is
        used, with a run of its own. (Default: a temporary file, deleted after the block.)
    start_timeout_s: how long a server may take to start, in seconds.

    Inside the block ``OPENAI_BASE_URL`` and ``ANTHROPIC_BASE_URL`` point at the gateway; afterwards they are
    restored. Clients made outside the block have read them already: pass them ``base_url=runtime.openai_base_url``.
    The same holds for runtimes that are entered in several threads at once: the environment has one address only.

    A refusal of the cage that a provider's client raises in its own way (``openai.APIStatusError`` with status 402, say)
    leaves the block as ours: BudgetExceeded, PiiBlocked, CircuitOpen, PriceUnknown. The client's is its ``__cause__``.

    Entering raises ServerUnreachable when no server can be reached or started; a budget that is no amount raises
    ValueError at once.
    """

    def __init__(
        self,
        budget: Money | None = None,
        *,
        pii_detection: PiiDetection = True,
        name: str | None = None,
        db: str | os.PathLike[str] | None = None,
        start_timeout_s: float = 30.0,
    ) -> None:
        self._limit = limit_of(budget)
        self._mode = safety_mode(pii_detection)
        self._name = name
        self._db = None if db is None else os.path.abspath(db)
        self._start_timeout_s = start_timeout_s
        #: Whether what it connected to stays for the next entry, and whose function it protects.
        self._is_kept = False
        self._protected: object = None
        self._lock = threading.RLock()
        self._entries = 0
        self._process = os.getpid()
        self._link: Link | None = None
        #: What the environment is while it is the last one that was entered.
        self._variables: dict[str, str | None] | None = None
        #: Ends with the connection: a token of its own, within the cage around it or with a server.
        self._part: Link | None = None
        self._joined: AgentRuntime | None = None
        self._server: Server | None = None
        #: Runtimes of protected functions that are kept as long as this one is connected.
        self._kept_within: dict[Hashable, AgentRuntime] = {}

    def __enter__(self) -> Self:
        self._open(is_main_thread())
        entered.set(Frame(self, entered.get()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        self._leave_frame()
        self._close(error)
        raise_refusal_of(error)
        return False

    async def __aenter__(self) -> Self:
        await self._open_async()
        entered.set(Frame(self, entered.get()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        import asyncio

        self._leave_frame()
        # Even a cancelled task must not leave its server behind.
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self._close, error))
        raise_refusal_of(error)
        return False

    @property
    def link(self) -> Link:
        """How the server is reached. Raises RuntimeError outside of the block."""
        if self._link is None:
            raise RuntimeError("this runtime has not been entered: write `with AgentRuntime(...) as runtime:`")
        return self._link

    @property
    def budget(self) -> Budget:
        """The current budget: ``.limit .spent .held .remaining`` in US dollars, ``.used_percent``, ``.warned``.

        Raises ServerUnreachable.
        """
        from ._values import budget_from

        return budget_from(self.link.call("GET", "")["budget"])

    @property
    def openai_base_url(self) -> str:
        """For ``OpenAI(base_url=…)`` and compatible clients."""
        return f"{self.link.gateway_url('openai')}/v1"

    @property
    def anthropic_base_url(self) -> str:
        """For ``Anthropic(base_url=…)``."""
        return self.link.gateway_url("anthropic")

    def client_options(self, provider: Literal["openai", "anthropic"]) -> dict[str, str]:
        """``base_url`` and ``api_key`` for a client of that provider: ``OpenAI(**runtime.client_options("openai"))``.

        The key is the agent's own where it has one; the server has its own otherwise.
        """
        return self.link.client_options(provider)

    def metrics(self) -> Metrics:
        """The agent's calls, outcomes and costs so far. Raises ServerUnreachable."""
        from ._values import metrics_from

        return metrics_from(self.link.call("GET", "/metrics"))

    def scan(self, text: str) -> ScanResult:
        """Finds personal data in ``text``, of all types. Raises ServerUnreachable."""
        from ._values import scan_result_from

        return scan_result_from(self.link.call("POST", "/scan", {"text": text}), text)

    def checkpoint(self, data: Any) -> None:
        """Stores ``data``, anything that can be JSON, for ``restore``, replacing the last checkpoint.

        Raises TypeError when JSON cannot hold it, IronCageError when it is refused, ServerUnreachable.
        """
        self.link.call("PUT", "/checkpoint", {"data": data})

    def restore(self, default: Any = None) -> Any:
        """Returns the data of the last ``checkpoint``, or ``default``. Raises ServerUnreachable."""
        try:
            return self.link.call("GET", "/checkpoint")["data"]
        except IronCageError as error:
            if error.code == "not_found":
                return default
            raise

    def _open(self, is_in_main_thread: bool) -> None:
        with self._lock:
            if self._entries == 0:
                if self._link is None:
                    self._connect()
                if self._joined is not None:
                    self._joined._open(False)
                self._entries = 1
                _add(self, is_in_main_thread)
            else:
                self._entries += 1

    async def _open_async(self) -> None:
        """A server takes a while to start; other tasks run meanwhile."""
        import asyncio
        from contextvars import copy_context

        context, is_in_main_thread = copy_context(), is_main_thread()
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, lambda: context.run(self._open, is_in_main_thread))

    def _close(self, error: BaseException | None) -> None:
        with self._lock:
            self._entries -= 1
            if self._entries > 0:
                return
            _remove(self)
            joined = self._joined
            try:
                if not self._is_kept:
                    self._disconnect(error)
            finally:
                if joined is not None:
                    joined._close(None)

    def _connect(self) -> None:
        try:
            self._joined = surrounding_runtime()
            around = self._joined.link if self._joined is not None else _link_outside()
            if around is not None and self._db is None:
                self._link = self._within(around)
            else:
                self._joined = None
                self._link = self._on_own_server()
        except BaseException as error:
            self._disconnect(error)
            raise

    def _within(self, around: Link) -> Link:
        if self._mode == "block":
            self._warn_of_laxer(around)
        if self._limit is None:
            return around
        self._part = self._begin_part(around, self._limit)
        return self._part

    def _on_own_server(self) -> Link:
        from ._server import Server

        self._server = Server.join_or_start(self._db, self._mode, self._start_timeout_s)
        agent = self._server.add_agent(self._name or _program_name(), self._limit or DEFAULT_BUDGET_USD)
        self._part = agent
        return self._begin_part(agent, None)

    def _begin_part(self, around: Link, limit: str | None) -> Link:
        # With it the server binds the part to this process, and no address needs to hold a token.
        asked = {"pid": os.getpid()} if limit is None else {"pid": os.getpid(), "budget_usd": limit}
        begun = around.call("POST", "/begin", asked)
        return around.with_token(begun["token"], begun["agent_id"], begun.get("gateway"))

    def _warn_of_laxer(self, around: Link) -> None:
        mode = around.call("GET", "").get("safety_mode")
        if mode != "block":
            import warnings

            warnings.warn(
                f"personal data is not blocked here: the cage around this code has safety mode {mode!r}",
                RuntimeWarning,
                stacklevel=5,
            )

    def _disconnect(self, error: BaseException | None) -> None:
        self._link = self._variables = None
        part, self._part, server, self._server, self._joined = self._part, None, self._server, None, None
        kept, self._kept_within = self._kept_within, {}
        try:
            # A forked child has a copy of this; the run is its parent's.
            if os.getpid() == self._process:
                for runtime in kept.values():
                    runtime._disconnect(None)
                if part is not None:
                    part.call("POST", "/end", _end_of(error))
        except IronCageError:
            pass  # a server that is gone has ended the run itself
        finally:
            if server is not None:
                server.release()

    def _leave_frame(self) -> None:
        frame = entered.get()
        # Not there in another context than the one that entered, as between the parts of a test's fixture.
        if frame is not None and frame.runtime is self:
            entered.set(frame.outer)


def current_runtime() -> AgentRuntime | None:
    """Returns the innermost runtime that the calling code is inside of; None outside of any.

    A program that ``iron-cage start`` runs is in a cage without being inside a runtime.
    """
    return _as_entered(innermost())


def surrounding_runtime() -> AgentRuntime | None:
    """The runtime that pays for whatever the calling code enters next."""
    return _as_entered(surrounding())


def _as_entered(runtime: object) -> AgentRuntime | None:
    """Nothing else enters itself."""
    assert runtime is None or isinstance(runtime, AgentRuntime)
    return runtime


def is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def limit_of(budget: Money | None) -> str | None:
    """Raises ValueError for anything but an amount."""
    if budget is None:
        return None
    from ._values import usd_text

    return usd_text(budget)


def safety_mode(pii_detection: PiiDetection) -> str:
    """Raises ValueError for anything else."""
    if isinstance(pii_detection, bool):
        return "redact" if pii_detection else "warn"
    if pii_detection not in ("redact", "block", "warn"):
        raise ValueError(f"pii_detection: expected True, False, 'redact', 'block' or 'warn', got {pii_detection!r}")
    return pii_detection


def raise_refusal_of(error: BaseException | None) -> None:
    """Raises our exception when a client's exception, or one that caused it, is a refusal of ours; returns otherwise."""
    if not isinstance(error, Exception) or isinstance(error, IronCageError):
        return
    refusal = refusal_in(error)
    if refusal is not None:
        raise refusal from error


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


def _add(runtime: AgentRuntime, is_in_main_thread: bool) -> None:
    with _process:
        if not opened:
            _outside.update({name: os.environ.get(name) for name in environment_of(runtime.link)})
            _applied.update(_outside)
        if not opened or runtime._variables is None:
            runtime._variables = environment_of(runtime.link)
        opened.append((runtime, is_in_main_thread))
        _apply(runtime._variables)


def _remove(runtime: AgentRuntime) -> None:
    with _process:
        opened[:] = [entry for entry in opened if entry[0] is not runtime]
        last = _as_entered(opened[-1][0] if opened else None)
        _apply((last._variables if last else None) or _outside)
        if not opened:
            _outside.clear()


def _apply(variables: dict[str, str | None]) -> None:
    """Only what is another than before: a variable takes microseconds, and this is part of each protected call."""
    for name, value in variables.items():
        if _applied[name] == value:
            continue
        _applied[name] = value
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value


def environment_of(link: Link) -> dict[str, str | None]:
    """What an agent's clients read, as ``iron-cage start`` gives it to an agent."""
    openai, anthropic = f"{link.gateway_url('openai')}/v1", link.gateway_url("anthropic")

    def outside(name: str) -> str | None:
        return _outside[name] if _outside else os.environ.get(name)

    def unproxied(name: str) -> str:
        return ",".join(filter(None, [outside(name), "127.0.0.1,localhost,::1"]))

    return {
        "OPENAI_BASE_URL": openai,
        "OPENAI_API_BASE": openai,
        "OPENAI_API_KEY": link.client_key(outside("OPENAI_API_KEY")),
        "ANTHROPIC_BASE_URL": anthropic,
        "ANTHROPIC_API_URL": anthropic,
        "ANTHROPIC_API_BASE": anthropic,
        "ANTHROPIC_API_KEY": link.client_key(outside("ANTHROPIC_API_KEY")),
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
