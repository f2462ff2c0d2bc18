"""``AgentRuntime``: a block of code that runs in a cage, whoever started the program.

Who pays, and which server it is, is decided when the outermost runtime of the process is entered:

1. a runtime that the code is inside of already is joined, in whatever thread it was entered;
2. else the server that ``IRON_CAGE_URL`` and ``IRON_CAGE_TOKEN`` name (``iron-cage start`` sets them) is joined;
3. else a server of its own is started, with a run of its own, and stopped when the block ends.

A joined cage keeps its own budget, which the block cannot raise: ``budget`` is then a limit within it.
"""

from __future__ import annotations

import os
import threading

from ._current import Frame, Link, entered, environment_link, opened
from ._errors import BudgetExceeded, IronCageError, refusal_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from decimal import Decimal
    from types import TracebackType
    from typing import Any, Literal, Protocol, Union

    from ._server import Server
    from ._values import Budget, Metrics, ScanResult

    #: US dollars. A float means what it prints as.
    Money = Union[str, int, float, Decimal]
    #: ``True`` redacts. ``"block"`` refuses a reply that holds personal data; ``"warn"``, and ``False``, only count it.
    PiiDetection = Union[bool, Literal["redact", "block", "warn"]]

    class Runtime(Protocol):
        """What an entered runtime has, real or mocked."""

        @property
        def link(self) -> Link: ...
        @property
        def budget(self) -> Budget: ...
        @property
        def openai_base_url(self) -> str: ...
        @property
        def anthropic_base_url(self) -> str: ...
        def client_options(self, provider: Literal["openai", "anthropic"]) -> dict[str, str]: ...
        def require_budget(self) -> None: ...


DEFAULT_BUDGET_USD = "100"

#: Guards the opening and closing of runtimes, and with them the environment.
_opening = threading.RLock()


class AgentRuntime:
    """A cage for a block of code: ``with AgentRuntime(budget=5) as runtime:``, or ``async with``.

    budget: hard limit in US dollars of all that the block pays for. (Default: 100 with a server of its own; what the
        joined cage has otherwise.)
    pii_detection: ``True`` or ``"redact"`` takes personal data out of replies, ``"block"`` refuses such a reply,
        ``"warn"`` and ``False`` only count it. A joined cage keeps what it has.
    name: the agent's name on the dashboard; its checkpoint is kept by it. (Default: the program's.)
    db: database file of a server that it starts, kept afterwards. When a server has this file already, that one is
        joined with a run of its own. (Default: a temporary one, gone with the block.)
    start_timeout_s: how long a server may take to start, in seconds.

    Inside the block ``OPENAI_BASE_URL`` and ``ANTHROPIC_BASE_URL`` lead through the gateway; afterwards they are what
    they were. Clients made outside the block do not read them again: give those ``base_url=runtime.openai_base_url``.

    A refusal of the cage that a provider's client raises in its own way (``openai.APIStatusError`` with status 402, say)
    leaves the block as ours: BudgetExceeded, PiiBlocked, CircuitOpen, PriceUnknown. The client's is its ``__cause__``.

    Entering raises ServerUnreachable when no server can be reached or started, ValueError for a budget that is none.
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
        if budget is not None:
            from ._values import usd_text

            budget = usd_text(budget)
        self._limit: str | None = budget
        self._mode = safety_mode(pii_detection)
        self._name = name
        self._db = None if db is None else os.fspath(db)
        self._start_timeout_s = start_timeout_s
        #: Whether a run of its own outlives the block, until the interpreter ends.
        self._keeps_run = False
        self._entries = 0
        self._link: Link | None = None
        self._joined: Runtime | None = None
        self._server: Server | None = None
        self._run: dict[str, Any] | None = None
        self._environment: dict[str, str | None] = {}
        self._spent_before: Decimal | None = None

    def __enter__(self) -> AgentRuntime:
        self._open()
        entered.set(Frame(self, entered.get()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        self._leave_frame()
        self._close(error)
        if isinstance(error, Exception):
            raise_refusal_of(error)
        return False

    async def __aenter__(self) -> AgentRuntime:
        import asyncio

        # A server takes a while to start; other tasks go on meanwhile.
        await asyncio.get_running_loop().run_in_executor(None, self._open)
        entered.set(Frame(self, entered.get()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        import asyncio

        self._leave_frame()
        # Even a cancelled task must not leave its server behind.
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self._close, error))
        if isinstance(error, Exception):
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
        """The budget as it is now: ``.limit .spent .held .remaining`` in US dollars, ``.used_percent``, ``.warned``.

        Raises ServerUnreachable.
        """
        from ._values import budget_from

        whole = budget_from(self.link.call("GET", "")["budget"])
        if self._limit is None or self._spent_before is None:
            return whole
        return whole.within(self._limit, self._spent_before)

    @property
    def openai_base_url(self) -> str:
        """For ``OpenAI(base_url=…)`` and whatever else speaks like OpenAI."""
        return f"{self.link.gateway_url('openai')}/v1"

    @property
    def anthropic_base_url(self) -> str:
        """For ``Anthropic(base_url=…)``."""
        return self.link.gateway_url("anthropic")

    def client_options(self, provider: Literal["openai", "anthropic"]) -> dict[str, str]:
        """``base_url`` and ``api_key`` for a client of that provider: ``OpenAI(**runtime.client_options("openai"))``.

        The key is the agent's own where it has one; the server knows its own otherwise.
        """
        if provider not in ("openai", "anthropic"):
            raise ValueError(f"expected 'openai' or 'anthropic', got {provider!r}")
        url = self.openai_base_url if provider == "openai" else self.anthropic_base_url
        token = self.link.token
        own = os.environ.get(f"{provider.upper()}_API_KEY")
        return {"base_url": url, "api_key": token if token.startswith("ic_") else own or token}

    def metrics(self) -> Metrics:
        """What was done so far and what it cost. Raises ServerUnreachable."""
        from ._values import metrics_from

        return metrics_from(self.link.call("GET", "/metrics"))

    def scan(self, text: str) -> ScanResult:
        """Finds personal data in ``text``, of all types. Raises ServerUnreachable."""
        from ._values import scan_result_from

        return scan_result_from(self.link.call("POST", "/scan", {"text": text}), text)

    def checkpoint(self, data: Any) -> None:
        """Keeps ``data``, anything that JSON can hold, for ``restore``, in place of what was kept before.

        Raises TypeError when JSON cannot hold it, IronCageError when it is refused, ServerUnreachable.
        """
        self.link.call("PUT", "/checkpoint", {"data": data})

    def restore(self, default: Any = None) -> Any:
        """Returns what ``checkpoint`` kept last, or ``default``. Raises ServerUnreachable."""
        try:
            return self.link.call("GET", "/checkpoint")["data"]
        except IronCageError as error:
            if error.code == "not_found":
                return default
            raise

    def require_budget(self) -> None:
        """Raises BudgetExceeded when this runtime, or one around it, has nothing left.

        The server refuses calls above its own limit whether or not somebody asks. This is for a ``budget`` within a
        joined cage, and costs a request only where there is one.
        """
        if self._joined is not None:
            self._joined.require_budget()
        if self._limit is None or self._spent_before is None:
            return
        budget = self.budget
        if budget.remaining_usd <= 0:
            raise BudgetExceeded(
                f"this block has spent ${budget.spent_usd} of the ${budget.limit_usd} that it may",
                code="budget_exceeded",
                hint="give it a larger budget",
                facts={"limit_usd": str(budget.limit_usd), "spent_usd": str(budget.spent_usd)},
            )

    def _open(self) -> None:
        with _opening:
            if self._entries == 0:
                self._connect()
                self._set_environment()
                opened.append(self)
            self._entries += 1

    def _close(self, error: BaseException | None) -> None:
        with _opening:
            self._entries -= 1
            if self._entries == 0:
                opened.remove(self)
                self._restore_environment()
                if not self._is_kept:
                    self._disconnect(error)

    def _connect(self) -> None:
        if self._link is not None:
            return
        try:
            self._link = self._find_cage()
            if self._limit is not None and self._run is None:
                from decimal import Decimal

                self._spent_before = Decimal(self._link.call("GET", "")["budget"]["spent_usd"])
        except BaseException as error:
            self._disconnect(error)
            raise

    def _find_cage(self) -> Link:
        if opened:
            self._joined = opened[-1]
            return self._joined.link
        if os.environ.get("IRON_CAGE_URL") and self._db is None:
            return environment_link()
        from ._server import Server

        self._server = Server.join_or_start(self._db, self._mode, self._start_timeout_s)
        self._run = self._server.open_run(self._name or _program_name(), self._limit or DEFAULT_BUDGET_USD)
        return Link(self._server.url, self._run["token"])

    def _disconnect(self, error: BaseException | None) -> None:
        link, self._link, server, self._server = self._link, None, self._server, None
        run, self._run, self._joined, self._spent_before = self._run, None, None, None
        try:
            if run is not None and link is not None:
                link.call("POST", "/end", _end_of(error))
        except IronCageError:
            pass  # a server that is gone has ended the run itself
        finally:
            if server is not None:
                server.release()

    @property
    def _is_kept(self) -> bool:
        """Whether a later entry goes on with the same run."""
        return self._keeps_run and self._run is not None

    def _leave_frame(self) -> None:
        frame = entered.get()
        # Not there in another context than the one that entered, as between parts of a test's fixture.
        if frame is not None and frame.runtime is self:
            entered.set(frame.outer)

    def _set_environment(self) -> None:
        """Only of the outermost: those within lead to the same place."""
        if self._joined is not None or self._link is None:
            return
        for name, value in environment_of(self._link, self._run).items():
            self._environment[name] = os.environ.get(name)
            os.environ[name] = value

    def _restore_environment(self) -> None:
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
        self._environment = {}


def safety_mode(pii_detection: PiiDetection) -> str:
    """Raises ValueError for anything else."""
    mode = {True: "redact", False: "warn"}.get(pii_detection, pii_detection)  # type: ignore[call-overload]
    if mode not in ("redact", "block", "warn"):
        raise ValueError(f"pii_detection: expected True, False, 'redact', 'block' or 'warn', got {pii_detection!r}")
    return str(mode)


def raise_refusal_of(error: Exception) -> None:
    """Raises our exception for a refusal that some client's exception, or one beneath it, tells of; returns else."""
    if isinstance(error, IronCageError):
        return
    refusal = refusal_in(error)
    if refusal is not None:
        raise refusal from error


def environment_of(link: Link, run: dict[str, Any] | None) -> dict[str, str]:
    """What an agent's clients read, as ``iron-cage start`` gives it to an agent."""
    openai, anthropic = f"{link.gateway_url('openai')}/v1", link.gateway_url("anthropic")
    variables = {
        "OPENAI_BASE_URL": openai,
        "OPENAI_API_BASE": openai,
        "ANTHROPIC_BASE_URL": anthropic,
        "ANTHROPIC_API_URL": anthropic,
        "ANTHROPIC_API_BASE": anthropic,
        "IRON_CAGE_URL": link.url,
        "IRON_CAGE_TOKEN": link.token,
    }
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY"):
        # A client refuses to be made without any key. The server does not pass a token of ours on.
        if link.token.startswith("ic_") or not os.environ.get(name):
            variables[name] = link.token
    if run is not None:
        variables["IRON_CAGE_AGENT_ID"] = run["agent_id"]
    for name in ("NO_PROXY", "no_proxy"):
        given = os.environ.get(name, "")
        variables[name] = ",".join(filter(None, [given, "127.0.0.1,localhost,::1"]))
    return variables


def _program_name() -> str:
    import sys

    program = os.path.splitext(os.path.basename(sys.argv[0] if sys.argv else ""))[0]
    return program if program not in ("", "-", "-c", "-m") else "python"


def _end_of(error: BaseException | None) -> dict[str, Any]:
    if error is None or (isinstance(error, SystemExit) and error.code in (None, 0)):
        return {"state": "completed"}
    refusal = refusal_in(error)
    return {"state": "failed", "reason": refusal.code if refusal is not None else type(error).__name__}
