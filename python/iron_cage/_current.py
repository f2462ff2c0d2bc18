"""Which cage the code that runs now is in: a runtime that was entered, else the one that ``iron-cage start`` set up.

The rules:

- A context variable holds the runtimes around the running code, so that threads and asyncio tasks do not see each
  other's. A thread that entered none uses the runtime of the main thread.
- The environment is the process's: it names the runtime that was entered last, for clients that read ``OPENAI_BASE_URL``.
"""

from __future__ import annotations

import os
from contextvars import ContextVar

from ._link import environment_link

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from ._link import Link

    class Entered(Protocol):
        """The known part of a ``Cage``, which enters itself."""

        @property
        def link(self) -> Link: ...


class Frame:
    """One cage that the code is inside of, and those around it."""

    __slots__ = ("cage", "outer")

    def __init__(self, cage: Entered, outer: Frame | None) -> None:
        self.cage = cage
        self.outer = outer


#: The cage that this thread or task entered.
entered: ContextVar[Frame | None] = ContextVar("iron_cage", default=None)
#: Cages that are open in this process, in the order in which they were entered; with each, whether in the main thread.
opened: list[tuple[Entered, bool]] = []


def innermost() -> Entered | None:
    """The innermost cage that the calling code is inside of; None outside of any."""
    cage = surrounding()
    return opened[-1][0] if cage is None and opened else cage


def surrounding() -> Entered | None:
    """The cage that pays for the next cage that the calling code enters.

    A thread that entered none belongs to the one that the main thread is in, which waits for it as a rule; it has nothing
    to do with those of other threads.
    """
    frame = entered.get()
    if frame is not None:
        return frame.cage
    for cage, is_in_main_thread in reversed(opened):
        if is_in_main_thread:
            return cage
    return None


def is_caged() -> bool:
    return innermost() is not None or bool(os.environ.get("IRON_CAGE_URL"))


def current_link() -> Link:
    """Raises ServerUnreachable when there is no cage."""
    cage = innermost()
    return cage.link if cage is not None else environment_link()
