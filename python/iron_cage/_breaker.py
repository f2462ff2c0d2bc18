"""``CircuitBreaker`` and ``fallback`` for the agent's own functions.

In a cage the circuit is the server's: all its agents share it, and the dashboard shows it. Without a cage, or while the
server does not respond, this process keeps a circuit with the same rules.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from contextvars import ContextVar

from ._circuit import Circuit
from ._current import current_link, is_caged
from ._errors import CircuitOpen, IronCageError, ServerUnreachable
from ._wrap import kind_of, wrap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Literal, TypeVar, Union

    from typing_extensions import ParamSpec, Self

    P = ParamSpec("P")
    R = TypeVar("R")


class CircuitBreaker:
    """Stops calls of a service that keeps failing.

    ::

        @CircuitBreaker("serp_api", failures=3)
        def search(query): ...

        with CircuitBreaker("serp_api"):          # or: async with
            requests.get(...)

    name: the circuit, such as ``"serp_api"``: letters, digits, ``.``, ``_`` and ``-``. All breakers of one name are one
        circuit, for all agents of a server. A provider's name is refused: those circuits are the server's own.
    failures: this many in a row open it.
    cooldown_s: how long it then refuses, in seconds, before one probe is allowed.
    timeout_s: how long a probe may take, in seconds, before the next one is allowed.
    counts: exceptions that count as failures. (Default: every ``Exception`` except CircuitOpen and BudgetExceeded.)

    For a service in the server's configuration the first three come from there. Calling a guarded function, or
    entering the block, raises CircuitOpen while the circuit is open, with ``.circuit`` and ``.retry_after_s``.
    """

    def __init__(
        self,
        name: str,
        *,
        failures: int = 5,
        cooldown_s: float = 60.0,
        timeout_s: float = 600.0,
        counts: type[BaseException] | tuple[type[BaseException], ...] = Exception,
    ) -> None:
        if not is_name(name):
            raise ValueError(f"expected a short name such as 'serp_api', got {name!r}")
        if failures < 1 or cooldown_s < 0:
            raise ValueError("expected at least one failure, and a cooldown that is not negative")
        self.name = name
        self.failures = failures
        self.cooldown_s = cooldown_s
        self.timeout_s = timeout_s
        self.counts = counts
        # Of the blocks around the current code: an instance may guard many at once.
        self._permits: ContextVar[tuple[Permit, ...]] = ContextVar("permits", default=())

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        """Guards a function, coroutine function, generator or asynchronous generator: each call as a whole."""
        return wrap(function, lambda: Attempt(self))

    def __enter__(self) -> Self:
        self._permits.set((*self._permits.get(), begin(self)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        *others, permit = self._permits.get()
        self._permits.set(tuple(others))
        permit.end(error)
        return False

    async def __aenter__(self) -> Self:
        permit = await _in_thread(lambda: begin(self))
        self._permits.set((*self._permits.get(), permit))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        *others, permit = self._permits.get()
        self._permits.set(tuple(others))
        await _in_thread(lambda: permit.end(error))
        return False


def begin(breaker: CircuitBreaker) -> Permit:
    """Raises CircuitOpen."""
    if is_caged():
        try:
            return SharedPermit(breaker)
        except ServerUnreachable:
            pass  # the circuit of this process does until it is back
    return LocalPermit(breaker)


def outcome_of(error: BaseException | None, breaker: CircuitBreaker) -> Literal["succeeded", "failed", "ignored"]:
    if error is None:
        return "succeeded"
    if isinstance(error, IronCageError) and not isinstance(error, ServerUnreachable):
        return "ignored"
    return "failed" if isinstance(error, breaker.counts) else "ignored"


class Attempt:
    """One call of a guarded function."""

    __slots__ = ("_breaker", "_permit")

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._breaker = breaker
        self._permit: Permit | None = None

    def open(self) -> None:
        self._permit = begin(self._breaker)

    async def open_async(self) -> None:
        self._permit = await _in_thread(lambda: begin(self._breaker))

    def enter(self) -> None:
        pass

    def leave(self) -> None:
        pass

    def close(self, error: BaseException | None) -> None:
        if self._permit is not None:
            self._permit.end(error)

    async def close_async(self, error: BaseException | None) -> None:
        await _in_thread(lambda: self.close(error))


class SharedPermit:
    """A permit for one call, from the server."""

    __slots__ = ("_breaker", "_id", "_link")

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._breaker = breaker
        self._link = current_link()
        settings = {
            "failures": breaker.failures,
            "cooldown_s": breaker.cooldown_s,
            "timeout_s": max(1, breaker.timeout_s),
        }
        self._id = self._link.call("POST", f"/services/{breaker.name}/begin", settings)["permit"]

    def end(self, error: BaseException | None) -> None:
        outcome = outcome_of(error, self._breaker)
        report = {"permit": self._id, "outcome": outcome}
        if error is not None:
            # The text of an exception may contain anything; its name is enough.
            report["reason"] = type(error).__name__
        try:
            self._link.call("POST", f"/services/{self._breaker.name}/end", report)
        except IronCageError:
            pass  # the call has been made; reporting its outcome is not worth another error


#: Of this process, by name.
_circuits: dict[str, Circuit] = {}


class LocalPermit:
    """A permit for one call, from a circuit of this process. Raises CircuitOpen."""

    __slots__ = ("_breaker", "_circuit", "_ticket")

    def __init__(self, breaker: CircuitBreaker) -> None:
        self._breaker = breaker
        self._circuit = _circuits.setdefault(breaker.name, Circuit(breaker.name))
        self._ticket = self._circuit.admit(breaker.cooldown_s, breaker.timeout_s, time.monotonic())

    def end(self, error: BaseException | None) -> None:
        breaker = self._breaker
        outcome = outcome_of(error, breaker)
        self._circuit.conclude(self._ticket, outcome, breaker.failures, breaker.cooldown_s, time.monotonic())


if TYPE_CHECKING:
    Permit = Union[SharedPermit, LocalPermit]


def is_name(name: str) -> bool:
    return 0 < len(name) <= 60 and name.isascii() and all(letter.isalnum() or letter in "._-" for letter in name)


def fallback(
    answer: Any, *, on: type[BaseException] | tuple[type[BaseException], ...] = CircuitOpen
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Returns a substitute when the function is refused::

        @fallback([])                                  # a value, or a function of the same arguments
        @CircuitBreaker("serp_api")
        def search(query): ...

    answer: the substitute; a callable is called with the same arguments, and awaited if both it and the guarded
        function are coroutine functions.
    on: the exceptions that it replaces. (Default: CircuitOpen.)

    For functions and coroutine functions; TypeError for generators. In a cage the event log shows each use.
    """

    def guard(function: Callable[P, R]) -> Callable[P, R]:
        from functools import partial, wraps

        kind = kind_of(function)
        if kind in ("generator", "asyncgen"):
            raise TypeError("fallback: a generator may break off in the middle; guard what it calls instead")
        name = getattr(function, "__name__", None) or type(function).__name__

        if kind == "coroutine":

            @wraps(function)
            async def coroutine(*args: Any, **arguments: Any) -> Any:
                try:
                    return await function(*args, **arguments)  # type: ignore[misc]
                except on as error:
                    await _in_thread(partial(_report_fallback, name, error))
                    found: Any = answer(*args, **arguments) if callable(answer) else answer
                    return await found if isinstance(found, Awaitable) else found

            return coroutine  # type: ignore[return-value]

        @wraps(function)
        def plain(*args: Any, **arguments: Any) -> Any:
            try:
                return function(*args, **arguments)
            except on as error:
                _report_fallback(name, error)
                return answer(*args, **arguments) if callable(answer) else answer

        return plain

    return guard


def _report_fallback(function: str, error: BaseException) -> None:
    if not is_caged():
        return
    named = error.circuit if isinstance(error, CircuitOpen) else None
    try:
        body = {"outcome": "fallback", "reason": type(error).__name__}
        current_link().call("POST", f"/services/{named or function.strip('<>')}/end", body)
    except IronCageError:
        pass  # a fallback must work while the server does not


async def _in_thread(ask: Callable[[], R]) -> R:
    """Does not block the event loop during the request. Without a cage there is none."""
    if not is_caged():
        return ask()
    import asyncio
    from contextvars import copy_context

    context = copy_context()
    return await asyncio.get_running_loop().run_in_executor(None, lambda: context.run(ask))
