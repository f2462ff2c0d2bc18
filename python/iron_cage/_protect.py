"""``protect_agent``: a function that runs in a cage."""

from __future__ import annotations

import atexit
import threading
from typing import overload

from ._current import Frame, entered
from ._runtime import (
    AgentRuntime,
    is_main_thread,
    is_supervised,
    limit_of,
    raise_refusal_of,
    safety_mode,
    surrounding_runtime,
)
from ._wrap import wrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeVar

    from typing_extensions import ParamSpec

    from ._breaker import CircuitBreaker
    from ._runtime import Money, PiiDetection

    P = ParamSpec("P")
    R = TypeVar("R")


@overload
def protect_agent(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def protect_agent(
    *,
    budget: Money | None = ...,
    pii_detection: PiiDetection = ...,
    circuit_breaker: CircuitBreaker | bool = ...,
    name: str | None = ...,
    db: str | None = ...,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


@overload
def protect_agent(
    budget: Money,
    /,
    *,
    pii_detection: PiiDetection = ...,
    circuit_breaker: CircuitBreaker | bool = ...,
    name: str | None = ...,
    db: str | None = ...,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def protect_agent(
    function: Any = None,
    /,
    *,
    budget: Money | None = None,
    pii_detection: PiiDetection = True,
    circuit_breaker: CircuitBreaker | bool = False,
    name: str | None = None,
    db: str | None = None,
) -> Any:
    """Runs an agent's function in a cage: ``@protect_agent`` or ``@protect_agent(budget=5)``.

    For functions, coroutine functions, generators and asynchronous generators; the result is of the same kind, with
    the same name, signature and documentation.

    budget: hard limit in US dollars of all calls of the function together, for the life of the process or, inside another
        cage, for the life of that one. (Default: 100 in a cage of its own; otherwise what the cage
        around it has left.)
    pii_detection: ``True`` or ``"redact"``, ``"block"``, ``"warn"`` or ``False``: see ``AgentRuntime``.
    circuit_breaker: ``True`` for one of the function's name, or a ``CircuitBreaker``: when the function has failed five
        times in a row, it is not called for a minute and CircuitOpen is raised. (Default: none.)
    name: the agent's name on the dashboard. (Default: the function's.)
    db: see ``AgentRuntime``.

    Inside another cage (one that ``iron-cage start`` made, a runtime, another protected function) the function joins that
    one. Otherwise its first call starts a server, which stays for later calls until the interpreter ends.

    Raises what the function raises, and BudgetExceeded, PiiBlocked, CircuitOpen or PriceUnknown in place of a provider's
    client's own exception for it; the first call also ServerUnreachable.
    """
    if function is not None and not callable(function):
        function, budget = None, function
    limit = limit_of(budget)
    safety_mode(pii_detection)

    def protect(function: Callable[..., Any]) -> Callable[..., Any]:
        named = name or getattr(function, "__name__", None) or type(function).__name__
        guard = Guard(limit, pii_detection, named, db)
        wrapped = wrap(function, lambda: ProtectedCall(guard))
        if circuit_breaker is False:
            return wrapped
        from ._breaker import CircuitBreaker

        breaker = CircuitBreaker(named) if circuit_breaker is True else circuit_breaker
        return breaker(wrapped)

    return protect if function is None else protect(function)


class Guard:
    """The state around all calls of one function, in many threads and tasks at once."""

    __slots__ = ("_limit", "_lock", "_outermost", "_settings")

    def __init__(self, limit: str | None, pii_detection: PiiDetection, name: str, db: str | None) -> None:
        self._limit = limit
        self._settings = (pii_detection, name, db)
        self._lock = threading.Lock()
        #: Outside of every other runtime.
        self._outermost: AgentRuntime | None = None

    def runtime(self) -> AgentRuntime | None:
        """What a call enters; None where the cage around it does everything."""
        around = surrounding_runtime()
        if around is None:
            if self._limit is None and self._settings[2] is None and is_supervised():
                return None
            with self._lock:
                if self._outermost is None:
                    self._outermost = self._new_runtime()
                    atexit.register(self._outermost._disconnect, None)
                return self._outermost
        if self._limit is None or around._protected is self:
            return None
        with self._lock:
            runtime = around._kept_within.get(self)
            if runtime is None:
                runtime = around._kept_within[self] = self._new_runtime()
            return runtime

    def _new_runtime(self) -> AgentRuntime:
        pii_detection, name, db = self._settings
        runtime = AgentRuntime(self._limit, pii_detection=pii_detection, name=name, db=db)
        runtime._is_kept = True
        runtime._protected = self
        return runtime


class ProtectedCall:
    """One call of a protected function."""

    __slots__ = ("_guard", "_runtime")

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._runtime: AgentRuntime | None = None

    def open(self) -> None:
        runtime = self._guard.runtime()
        if runtime is not None:
            runtime._open(is_main_thread())
            self._runtime = runtime

    async def open_async(self) -> None:
        runtime = self._guard.runtime()
        if runtime is not None:
            if runtime._link is None:
                await runtime._open_async()
            else:
                runtime._open(is_main_thread())
            self._runtime = runtime

    def enter(self) -> None:
        if self._runtime is not None:
            entered.set(Frame(self._runtime, entered.get()))

    def leave(self) -> None:
        if self._runtime is not None:
            self._runtime._leave_frame()

    def close(self, error: BaseException | None) -> None:
        if self._runtime is not None:
            self._runtime._close(error)
        if error is not None:
            raise_refusal_of(error)

    async def close_async(self, error: BaseException | None) -> None:
        self.close(error)
