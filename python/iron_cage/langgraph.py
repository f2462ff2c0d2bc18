"""LangGraph support: nodes are steps in the event log, and the graph can handle refusals of the cage.

Calls of models in a graph are counted, redacted and stopped without this. To log them and tool calls, pass
``graph.invoke(…, config={"callbacks": [iron_cage.IronCageCallbackHandler()]})``.

LangGraph is not imported: a node is a function.
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
    on_refusal: Callable[[Any, IronCageError], Any] | None = None,
) -> Node:
    """Wraps a node: ``graph.add_node("write", iron_cage.langgraph.node(write))``.

    function: the node, sync or async; it keeps its signature, and with it the arguments LangGraph passes.
    name: its name in the event log. (Default: the function's.)
    on_refusal: called with the state and the refusal when the cage refuses a call of the node; its result is the node's
        result. (Default: the refusal is raised, as BudgetExceeded, CircuitOpen …)
    """
    shown = str(name or getattr(function, "__name__", "node"))

    def handle(error: Exception, state: Any) -> Any:
        refusal = refusal_in(error)
        if refusal is None or on_refusal is None:
            raise_refusal_of(error)
            raise error
        event(
            f"node {shown} was refused ({refusal.code}): continuing without it", "WARN", kind="node.refused", node=shown
        )
        return on_refusal(state, refusal)

    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def awaited(state: Any, *more: Any, **named: Any) -> Any:
            try:
                with _recorded(shown):
                    return await function(state, *more, **named)
            except Exception as error:
                return handle(error, state)

        return awaited  # type: ignore[return-value]

    @functools.wraps(function)
    def called(state: Any, *more: Any, **named: Any) -> Any:
        try:
            with _recorded(shown):
                return function(state, *more, **named)
        except Exception as error:
            return handle(error, state)

    return called  # type: ignore[return-value]


@contextmanager
def _recorded(name: str) -> Iterator[None]:
    began = time.monotonic()
    try:
        yield
    except Exception as error:
        event(f"node {name} failed: {type(error).__name__}", "ERROR", kind="node.failed", node=name)
        raise
    took = round((time.monotonic() - began) * 1000)
    event(f"node {name} done", kind="node.ended", node=name, latency_ms=took)
