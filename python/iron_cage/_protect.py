"""``protect_agent``: a function that runs in a cage."""

from __future__ import annotations

import os

from ._current import Frame, entered, opened
from ._runtime import AgentRuntime, raise_refusal_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal, TypeVar, overload

    from typing_extensions import ParamSpec

    from ._breaker import CircuitBreaker
    from ._runtime import Money, PiiDetection

    P = ParamSpec("P")
    R = TypeVar("R")
    F = TypeVar("F", bound=Callable[..., Any])

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


def protect_agent(  # type: ignore[no-redef, misc]
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

    For functions, coroutine functions, generators and asynchronous generators; what comes back is of the same kind, with
    the same name, signature and documentation.

    budget: hard limit in US dollars of what all calls of the function together pay for, as long as the process lives.
        (Default: 100 when the cage is its own; what the cage around it has otherwise.)
    pii_detection: ``True`` or ``"redact"``, ``"block"``, ``"warn"`` or ``False``: see ``AgentRuntime``.
    circuit_breaker: ``True`` for one of the function's name, or a ``CircuitBreaker``: when the function has failed five
        times in a row, it is not called for a minute and CircuitOpen is raised. (Default: none.)
    name: the agent's name on the dashboard. (Default: the function's.)
    db: see ``AgentRuntime``.

    Inside another cage, one that ``iron-cage start`` made or a runtime or protected function around it, the function
    joins that one. Otherwise the first call starts a server, which stays for later calls until the interpreter ends.

    Raises what the function raises, and BudgetExceeded, PiiBlocked, CircuitOpen or PriceUnknown in place of a provider's
    client's own exception for it; the first call also ServerUnreachable.
    """
    if function is not None and not callable(function):
        function, budget = None, function

    def protect(function: Callable[..., Any]) -> Callable[..., Any]:
        named = name or getattr(function, "__name__", None) or type(function).__name__
        runtime = AgentRuntime(budget, pii_detection=pii_detection, name=named, db=db)
        runtime._keeps_run = True
        wrapped = wrap_calls(function, Guard(runtime))
        if circuit_breaker is False:
            return wrapped
        from ._breaker import CircuitBreaker

        breaker = CircuitBreaker(named) if circuit_breaker is True else circuit_breaker
        return breaker(wrapped)

    return protect if function is None else protect(function)


class Guard:
    """What surrounds each call: a context manager that many threads and tasks can be inside of at once."""

    __slots__ = ("_runtime",)

    def __init__(self, runtime: AgentRuntime) -> None:
        self._runtime = runtime

    def open(self) -> bool:
        """Whether there was anything to open. Where the cage around it does everything, there is not."""
        runtime = self._runtime
        if runtime._limit is None and (opened or "IRON_CAGE_URL" in os.environ):
            return False
        runtime._open()
        try:
            runtime.require_budget()
        except BaseException as error:
            runtime._close(error)
            raise
        return True

    def close(self, is_open: bool, error: BaseException | None) -> None:
        if is_open:
            self._runtime._close(error)
        if isinstance(error, Exception):
            raise_refusal_of(error)

    def enter(self, is_open: bool) -> None:
        if is_open:
            entered.set(Frame(self._runtime, entered.get()))

    def leave(self, is_open: bool) -> None:
        if is_open:
            frame = entered.get()
            if frame is not None:
                entered.set(frame.outer)


def wrap_calls(function: Callable[..., Any], guard: Guard) -> Callable[..., Any]:
    """A function of the same kind whose every step runs inside of ``guard``."""
    from functools import wraps

    kind = _kind_of(function)

    if kind == "coroutine":

        @wraps(function)
        async def coroutine(*args: Any, **arguments: Any) -> Any:
            is_open = await _opened(guard)
            guard.enter(is_open)
            error: BaseException | None = None
            try:
                return await function(*args, **arguments)
            except BaseException as raised:
                error = raised
                raise
            finally:
                guard.leave(is_open)
                guard.close(is_open, error)

        return coroutine

    if kind == "generator":

        @wraps(function)
        def generator(*args: Any, **arguments: Any) -> Any:
            is_open = guard.open()
            error: BaseException | None = None
            steps: Any = None
            try:
                guard.enter(is_open)
                try:
                    steps = function(*args, **arguments)
                    piece = next(steps)
                finally:
                    guard.leave(is_open)
                while True:
                    try:
                        sent = yield piece
                    except GeneratorExit:
                        guard.enter(is_open)
                        try:
                            steps.close()
                        finally:
                            guard.leave(is_open)
                        raise
                    except BaseException as thrown:
                        guard.enter(is_open)
                        try:
                            piece = steps.throw(thrown)
                        finally:
                            guard.leave(is_open)
                    else:
                        guard.enter(is_open)
                        try:
                            piece = steps.send(sent)
                        finally:
                            guard.leave(is_open)
            except StopIteration as end:
                return end.value
            except BaseException as raised:
                error = raised
                raise
            finally:
                guard.close(is_open, error)

        return generator

    if kind == "asyncgen":

        @wraps(function)
        async def asynchronous_generator(*args: Any, **arguments: Any) -> Any:
            is_open = await _opened(guard)
            error: BaseException | None = None

            async def step(awaitable: Any) -> Any:
                guard.enter(is_open)
                try:
                    return await awaitable
                finally:
                    guard.leave(is_open)

            try:
                steps = function(*args, **arguments)
                piece = await step(steps.__anext__())
                while True:
                    try:
                        sent = yield piece
                    except GeneratorExit:
                        await step(steps.aclose())
                        raise
                    except BaseException as thrown:
                        piece = await step(steps.athrow(thrown))
                    else:
                        piece = await step(steps.asend(sent))
            except StopAsyncIteration:
                return
            except BaseException as raised:
                error = raised
                raise
            finally:
                guard.close(is_open, error)

        return asynchronous_generator

    @wraps(function)
    def plain(*args: Any, **arguments: Any) -> Any:
        is_open = guard.open()
        guard.enter(is_open)
        error: BaseException | None = None
        try:
            return function(*args, **arguments)
        except BaseException as raised:
            error = raised
            raise
        finally:
            guard.leave(is_open)
            guard.close(is_open, error)

    return plain


async def _opened(guard: Guard) -> bool:
    runtime = guard._runtime
    if runtime._limit is None and (opened or "IRON_CAGE_URL" in os.environ):
        return False
    if runtime._is_kept:
        return guard.open()
    import asyncio

    # A server takes a while to start; other tasks go on meanwhile.
    return await asyncio.get_running_loop().run_in_executor(None, guard.open)


def _kind_of(function: Any) -> Literal["plain", "coroutine", "generator", "asyncgen"]:
    """By the flags of the code, as ``inspect`` does, which takes 10 ms to import."""
    while hasattr(function, "func"):  # functools.partial
        function = function.func
    if not hasattr(function, "__code__") and hasattr(type(function), "__call__"):
        function = type(function).__call__
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    if flags & 0x200:
        return "asyncgen"
    # 0x100: a generator that types.coroutine made awaitable.
    if flags & (0x80 | 0x100):
        return "coroutine"
    return "generator" if flags & 0x20 else "plain"
