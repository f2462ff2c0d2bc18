"""Processes of ``multiprocessing``: each starts with the environment that its parent has at that moment.

A forked or spawned child has it anyway. A fork server (Linux's default from Python 3.14) keeps the environment of its own
start, which may be that of a runtime that has ended long since: its children would call an address without a server.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any


class Inherited:
    """Travels with every process that is started; unpickling it sets the variables in the child, before its code runs."""

    def __init__(self) -> None:
        self.names: set[str] = set()

    def __reduce__(self) -> tuple[Any, ...]:
        return apply, ({name: os.environ.get(name) for name in self.names},)


_inherited = Inherited()


def hand_down(names: Iterable[str]) -> None:
    """From now on children of this process get these variables as they are when each child starts."""
    _inherited.names.update(names)
    from multiprocessing import process

    # The configuration that all descendants of a process inherit; `authkey` travels the same way.
    config = getattr(process.current_process(), "_config", None)
    if isinstance(config, dict):
        config["iron_cage"] = _inherited


def apply(variables: Mapping[str, str | None]) -> Inherited:
    for name, value in variables.items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    _inherited.names.update(variables)
    return _inherited
