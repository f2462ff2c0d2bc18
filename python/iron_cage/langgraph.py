"""LangGraph in the cage: its nodes are steps in the event log, and what the cage refuses can be answered within the graph.

The models inside a graph are counted, redacted and stopped without this. For their calls and tools in the event log, give
``graph.invoke(…, config={"callbacks": [iron_cage.IronCageCallbackHandler()]})``.

Nothing of LangGraph is imported here: a node is a function.
"""

from __future__ import annotations

import functools
import inspect
import time
from collections.abc import Callable
from contextlib import contextmanager

from ._errors import refusal_in
from ._run import event
from ._runtime import raise_refusal_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, TypeVar

    from ._errors import IronCageError

    Node = TypeVar("Node", bound=Callable[..., Any])

__all__ = ["node"]


def node(
    function: Node,
    *,
    name: str | None = None,
    otherwise: Callable[[Any, IronCageError], Any] | None = None,
) -> Node:
    """Wraps a node: ``graph.add_node("write", iron_cage.langgraph.node(write))``.

    function: the node, sync or async; it keeps its signature, and with it what LangGraph hands to it.
    name: as the event log shows it. (Default: the function's.)
    otherwise: when the cage refuses something that the node needs, it is called with the state and the refusal, and what
        it returns is the node's result. (Default: the refusal is raised, as BudgetExceeded, CircuitOpen …)
    """
    shown = str(name or getattr(function, "__name__", "node"))

    def instead(error: Exception, given: Any) -> Any:
        refusal = refusal_in(error)
        if refusal is None or otherwise is None:
            raise_refusal_of(error)
            raise error
        event(
            f"node {shown} was refused ({refusal.code}): going on without it", "WARN", kind="node.refused", node=shown
        )
        return otherwise(given, refusal)

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(state: Any, *more: Any, **named: Any) -> Any:
            try:
                with _told(shown):
                    return await function(state, *more, **named)
            except Exception as error:
                return instead(error, state)

        return awaited  # type: ignore[return-value]

    @functools.wraps(function)
    def called(state: Any, *more: Any, **named: Any) -> Any:
        try:
            with _told(shown):
                return function(state, *more, **named)
        except Exception as error:
            return instead(error, state)

    return called  # type: ignore[return-value]


@contextmanager
def _told(name: str) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    except Exception as error:
        event(f"node {name} failed: {type(error).__name__}", "ERROR", kind="node.failed", node=name)
        raise
    took = round((time.monotonic() - began) * 1000)
    event(f"node {name} done", kind="node.ended", node=name, latency_ms=took)
