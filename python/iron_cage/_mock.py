"""``MockRuntime``: a cage in memory, for tests."""

from __future__ import annotations

from ._current import Link
from ._runtime import AgentRuntime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._runtime import Money


class MockRuntime(AgentRuntime):
    """A cage in memory, for tests: no server, no network, the same every time.

    budget: hard limit in US dollars.
    """

    def __init__(self, budget: Money = 100) -> None:
        super().__init__(budget)

    def _find_cage(self) -> Link:
        raise NotImplementedError
