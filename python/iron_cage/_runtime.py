"""``AgentRuntime``: a block of code that runs in a cage, however the program was started; ``_cage`` decides in which."""

from __future__ import annotations

import os

from ._cage import Cage, ServerConnector, innermost_cage, is_main_thread
from ._errors import IronCageError, refusal_in
from ._wanted import WantedServer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal
    from types import TracebackType
    from typing import Any, Literal, Union

    from typing_extensions import Self

    from ._link import Link
    from ._values import Budget, Metrics, ScanResult

    #: US dollars. A float means its printed value.
    Money = Union[str, int, float, Decimal]
    #: ``True`` redacts. ``"block"`` refuses a reply with personal data; ``"warn"``, and ``False``, only count it.
    PiiDetection = Union[bool, Literal["redact", "block", "warn"]]
    #: An amount, the path of a configuration file, a dict, or an object with settings as attributes.
    Config = Union[Money, os.PathLike[str], Mapping[str, Any], object]

#: How long a server may take to start, in seconds.
START_TIMEOUT_S = 30.0


class AgentRuntime:
    """A cage for a block of code: ``with AgentRuntime(budget=5) as runtime:``, or ``async with``.

    config: an amount, as ``budget``; or the path of a configuration file; or a dict or an object with any of the arguments
        below (``{"budget": 5, "name": "researcher"}``) and sections of the configuration file (``{"prices": {...}}``).
        Arguments win. Sections configure a server that the block starts; a running server keeps its own configuration,
        with a RuntimeWarning.
    budget: hard limit in US dollars of all that the block pays for. (Default: for a new server ``budget.limit_usd`` of
        the configuration, or 100; otherwise the remaining budget of the outer cage.)
    pii_detection: ``True`` or ``"redact"`` redacts replies, ``"block"`` refuses a reply with personal data,
        ``"warn"`` and ``False`` only count it. A joined cage keeps its own mode; ``"block"`` warns if that is another.
        (Default: ``safety.mode`` of the configuration, ``"redact"`` without any.)
    name: the agent's name on the dashboard; its checkpoint is stored under it. (Default: the program's.)
    db: database file of the server that it starts, kept afterwards. When a server has this file already, the block
        joins it with a new run. (Default: a temporary file, deleted after the block.)
    start_timeout_s: how long a server may take to start, in seconds. (Default: 30.)

    Inside the block ``OPENAI_BASE_URL`` and ``ANTHROPIC_BASE_URL`` point at the gateway; afterwards they are
    restored. Clients made outside the block have read them already: pass them ``base_url=runtime.openai_base_url``.
    The same holds for runtimes that are entered in several threads at once: the environment has one address only.

    When a provider's client turns a refusal of the cage into its own exception (``openai.APIStatusError`` with status
    402, for example), the block raises ours: BudgetExceeded, PiiBlocked, CircuitOpen, PriceUnknown. The client's is its
    ``__cause__``.

    Entering raises ServerUnreachable when no server can be reached or started, and ValueError for a key or value that the
    configuration does not have; a budget that is no amount, and a configuration that is none, raise ValueError at once.
    """

    def __init__(
        self,
        config: Config | None = None,
        *,
        budget: Money | None = None,
        pii_detection: PiiDetection | None = None,
        name: str | None = None,
        db: str | os.PathLike[str] | None = None,
        start_timeout_s: float | None = None,
    ) -> None:
        server = None
        if config is not None:
            from ._config import arguments_of

            found, server = arguments_of(config)
            budget = found.get("budget") if budget is None else budget
            pii_detection = found.get("pii_detection") if pii_detection is None else pii_detection
            name, db = name or found.get("name"), db or found.get("db")
            start_timeout_s = start_timeout_s or found.get("start_timeout_s")
        wanted = WantedServer(
            None if db is None else os.path.abspath(os.fspath(db)),
            safety_mode(pii_detection),
            server,
            start_timeout_s or START_TIMEOUT_S,
        )
        self._cage = Cage(ServerConnector(limit_of(budget), name, wanted), self)

    def __enter__(self) -> Self:
        self._cage.open(is_main_thread())
        self._cage.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        self._cage.leave()
        self._cage.close(error)
        raise_refusal_of(error)
        return False

    async def __aenter__(self) -> Self:
        await self._cage.open_async()
        self._cage.enter()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        import asyncio

        self._cage.leave()
        # Even a cancelled task must not leave its server behind.
        await asyncio.shield(asyncio.get_running_loop().run_in_executor(None, self._cage.close, error))
        raise_refusal_of(error)
        return False

    @property
    def link(self) -> Link:
        """How the server is reached. Raises RuntimeError outside of the block."""
        return self._cage.link

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


def current_runtime() -> AgentRuntime | None:
    """Returns the innermost runtime that the calling code is inside of; None outside of any.

    A program that ``iron-cage start`` runs is in a cage without being inside a runtime.
    """
    cage = innermost_cage()
    if cage is None:
        return None
    assert isinstance(cage.runtime, AgentRuntime)
    return cage.runtime


def new_cage(limit: str | None, pii_detection: PiiDetection | None, name: str | None, db: str | None) -> Cage:
    """The cage of a runtime that no block enters."""
    return AgentRuntime(budget=limit, pii_detection=pii_detection, name=name, db=db)._cage


def limit_of(budget: Money | None) -> str | None:
    """Raises ValueError for anything but an amount."""
    if budget is None:
        return None
    from ._values import usd_text

    return usd_text(budget)


def safety_mode(pii_detection: PiiDetection | None) -> str | None:
    """None: as configured. Raises ValueError for anything else."""
    if pii_detection is None:
        return None
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
