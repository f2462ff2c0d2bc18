"""``protect_agent``: a function that runs in a cage."""

from __future__ import annotations

import atexit
import sys
import threading
from typing import overload

from ._cage import is_main_thread, is_supervised, surrounding_cage
from ._errors import IronCageError
from ._runtime import limit_of, new_cage, raise_refusal_of, safety_mode
from ._wrap import wrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, TypeVar

    from typing_extensions import ParamSpec

    from ._breaker import CircuitBreaker
    from ._cage import Cage
    from ._runtime import Money, PiiDetection

    P = ParamSpec("P")
    R = TypeVar("R")


@overload
def protect_agent(function: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def protect_agent(
    *,
    budget: Money | None = ...,
    pii_detection: PiiDetection | None = ...,
    circuit_breaker: CircuitBreaker | Mapping[str, Any] | str | bool | None = ...,
    name: str | None = ...,
    db: str | None = ...,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


@overload
def protect_agent(
    budget: Money,
    /,
    *,
    pii_detection: PiiDetection | None = ...,
    circuit_breaker: CircuitBreaker | Mapping[str, Any] | str | bool | None = ...,
    name: str | None = ...,
    db: str | None = ...,
) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def protect_agent(
    function: Any = None,
    /,
    *,
    budget: Money | None = None,
    pii_detection: PiiDetection | None = None,
    circuit_breaker: CircuitBreaker | Mapping[str, Any] | str | bool | None = None,
    name: str | None = None,
    db: str | None = None,
) -> Any:
    """Runs an agent's function in a cage: ``@protect_agent`` or ``@protect_agent(budget=5)``.

    For functions, coroutine functions, generators and asynchronous generators; the result is of the same kind, with
    the same name, signature and documentation.

    budget: hard limit in US dollars of all calls of the function together, for the life of the process or, inside another
        cage, for the life of that one. (Default: 100 for a new cage; otherwise the remaining budget of the outer one.)
    pii_detection: ``True`` or ``"redact"``, ``"block"``, ``"warn"`` or ``False``: see ``AgentRuntime``.
    circuit_breaker: ``True`` for one of the function's name, a name, a dict of the arguments of ``CircuitBreaker`` such as
        ``{"failures": 3, "cooldown_s": 10}``, or a ``CircuitBreaker``: when the function has failed five times in a row,
        it is not called for a minute and CircuitOpen is raised. (Default: none.)
    name: the agent's name on the dashboard. (Default: the function's.)
    db: see ``AgentRuntime``.

    Inside another cage (one that ``iron-cage start`` made, a runtime, another protected function) the function joins that
    one. Otherwise its first call starts a server, which stays for later calls until the interpreter ends. In a process of a
    ``multiprocessing`` pool without a cage around it, IronCageError is raised, ``not_caged``: budgets would add up.

    Decorating a class raises TypeError: decorate its methods.

    Raises the exceptions of the function, and BudgetExceeded, PiiBlocked, CircuitOpen or PriceUnknown in place of the
    exception that a provider's client raises for them; the first call also ServerUnreachable.
    """
    if function is not None and not callable(function):
        function, budget = None, function
    _refuse_class(function)
    limit = limit_of(budget)
    safety_mode(pii_detection)

    def protect(function: Callable[..., Any]) -> Callable[..., Any]:
        _refuse_class(function)
        named = name or getattr(function, "__name__", None) or type(function).__name__
        guard = Guard(limit, pii_detection, named, db)
        wrapped = wrap(function, lambda: ProtectedCall(guard))
        breaker = _breaker_of(circuit_breaker, named)
        return wrapped if breaker is None else breaker(wrapped)

    return protect if function is None else protect(function)


def _breaker_of(wanted: CircuitBreaker | Mapping[str, Any] | str | bool | None, name: str) -> CircuitBreaker | None:
    if wanted is None or wanted is False:
        return None
    from ._breaker import CircuitBreaker

    if isinstance(wanted, CircuitBreaker):
        return wanted
    if isinstance(wanted, str):
        return CircuitBreaker(wanted)
    return CircuitBreaker(name) if wanted is True else CircuitBreaker(**{"name": name, **wanted})


def _refuse_pool() -> None:
    """Each process of a pool would have a server, and a budget, of its own: together more than the limit."""
    process = sys.modules.get("multiprocessing.process")
    if process is None or process.parent_process() is None:
        return
    raise IronCageError(
        "a protected function was called in a process of a pool, and nothing is around the pool to share its budget",
        code="not_caged",
        hint='enter "with AgentRuntime(budget=...):" around the pool, or start the program with "iron-cage start"',
    )


def _refuse_class(function: Any) -> None:
    if isinstance(function, type):
        raise TypeError(f"protect_agent is for functions: decorate the methods of {function.__name__} instead")


class Guard:
    """The state around all calls of one function, in many threads and tasks at once."""

    __slots__ = ("_limit", "_lock", "_outermost", "_settings")

    def __init__(self, limit: str | None, pii_detection: PiiDetection | None, name: str | None, db: str | None) -> None:
        self._limit = limit
        self._settings = (pii_detection, name, db)
        self._lock = threading.Lock()
        #: Outside of every other cage.
        self._outermost: Cage | None = None

    def cage(self) -> Cage | None:
        """The cage that a call enters; None where the cage around it does everything."""
        around = surrounding_cage()
        if around is None:
            if self._limit is None and self._settings[2] is None and is_supervised():
                return None
            with self._lock:
                if self._outermost is None:
                    _refuse_pool()
                    self._outermost = self._new_cage()
                    atexit.register(self._outermost.disconnect, None)
                return self._outermost
        if self._limit is None or around.protected is self:
            return None
        with self._lock:
            cage = around.kept_within.get(self)
            if cage is None:
                cage = around.kept_within[self] = self._new_cage()
            return cage

    def _new_cage(self) -> Cage:
        cage = new_cage(self._limit, *self._settings)
        cage.is_kept = True
        cage.protected = self
        return cage


class ProtectedCall:
    """One call of a protected function."""

    __slots__ = ("_cage", "_guard")

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._cage: Cage | None = None

    def open(self) -> None:
        cage = self._guard.cage()
        if cage is not None:
            cage.open(is_main_thread())
            self._cage = cage

    async def open_async(self) -> None:
        cage = self._guard.cage()
        if cage is not None:
            if cage.is_connected:
                cage.open(is_main_thread())
            else:
                await cage.open_async()
            self._cage = cage

    def enter(self) -> None:
        if self._cage is not None:
            self._cage.enter()

    def leave(self) -> None:
        if self._cage is not None:
            self._cage.leave()

    def close(self, error: BaseException | None) -> None:
        if self._cage is not None:
            self._cage.close(error)
        if error is not None:
            raise_refusal_of(error)

    async def close_async(self, error: BaseException | None) -> None:
        self.close(error)
