"""``CircuitBreaker`` and ``fallback`` for the agent's own functions."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Any, Literal, TypeVar

    from typing_extensions import ParamSpec

    P = ParamSpec("P")
    R = TypeVar("R")


class CircuitBreaker:
    """Stops calling what fails: ``@CircuitBreaker("serp_api")``, or ``with CircuitBreaker("serp_api"):``.

    name: of the circuit. All breakers of one name share it, across processes of one server.
    failures: so many in a row open it.
    cooldown_s: how long it then refuses, in seconds, before one call may try.
    """

    def __init__(self, name: str, *, failures: int = 5, cooldown_s: float = 60.0) -> None:
        self.name = name
        self.failures = failures
        self.cooldown_s = cooldown_s

    def __call__(self, function: Callable[P, R]) -> Callable[P, R]:
        return function

    def __enter__(self) -> CircuitBreaker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        return False

    async def __aenter__(self) -> CircuitBreaker:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Literal[False]:
        return self.__exit__(kind, error, traceback)


def fallback(answer: Any) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """What to answer when a function cannot: ``@fallback([])`` or ``@fallback(cached_search)``."""
    return lambda function: function
