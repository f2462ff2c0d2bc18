"""Iron Cage for Python agents: runs your code in a cage, reports its work, and reads its budget.

``protect_agent`` and ``AgentRuntime`` run a function or a block in a cage, ``Runtime`` starts agents, ``CircuitBreaker`` and ``fallback`` guard the
functions it calls, ``iron_cage.testing`` has an in-memory cage for tests.

Standard library only. Importing this package costs a few milliseconds: everything heavy is loaded at its first use.

An agent that ``iron-cage start`` runs finds this package on its path, and its server in two variables:
``IRON_CAGE_URL`` and ``IRON_CAGE_TOKEN``. Without them there is no cage: ``progress``, ``outcome``, ``event``,
``checkpoint`` and ``record_cost`` do nothing and ``restore`` returns its default, so that the same agent also runs
without a server.

Exceptions::

    IronCageError                 anything the server refused; carries code, status, hint, request_id, facts
     ├── BudgetExceeded           the limit is reached          .limit_usd .spent_usd .needed_usd
     ├── PiiBlocked               a reply has personal data     .pii_types
     ├── CircuitOpen              a provider or service is down .circuit .retry_after_s
     ├── AccessDenied             the token may not do this
     ├── PriceUnknown             no price, so no call          .provider .model
     ├── VaultLocked              the server has no master key
     └── ServerUnreachable        no server responds            .url
"""

from __future__ import annotations

from ._errors import (
    AccessDenied,
    BudgetExceeded,
    CircuitOpen,
    IronCageError,
    PiiBlocked,
    PriceUnknown,
    ServerUnreachable,
    VaultLocked,
)

# Type checkers treat this as true. `typing` itself would cost up to 9 ms of every agent's start.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ._agents import Runtime
    from ._breaker import CircuitBreaker, fallback
    from ._chat import ChatClient, Reply
    from ._mock import MockRuntime
    from ._protect import protect_agent
    from ._run import (
        budget_request,
        checkpoint,
        current_budget,
        event,
        outcome,
        progress,
        record_cost,
        request_budget,
        restore,
        scan,
        service_url,
    )
    from ._runtime import AgentRuntime, current_runtime
    from ._values import Budget, BudgetRequest, Finding, Metrics, ScanResult
    from .langchain import IronCageCallbackHandler as IronCageCallbackHandler
    from .langchain import IronCageChain as IronCageChain

# Without names that need a framework, so that `from iron_cage import *` needs none.
__all__ = [
    "AccessDenied",
    "AgentRuntime",
    "Budget",
    "BudgetExceeded",
    "BudgetRequest",
    "ChatClient",
    "CircuitBreaker",
    "CircuitOpen",
    "Finding",
    "IronCageError",
    "Metrics",
    "MockRuntime",
    "PiiBlocked",
    "PriceUnknown",
    "Reply",
    "Runtime",
    "ScanResult",
    "ServerUnreachable",
    "VaultLocked",
    "budget_request",
    "checkpoint",
    "current_budget",
    "current_runtime",
    "event",
    "fallback",
    "outcome",
    "progress",
    "protect_agent",
    "record_cost",
    "request_budget",
    "restore",
    "scan",
    "service_url",
]

__version__ = "0.3.0"

# Loaded at first use: `dataclasses` alone takes up to 20 ms to import, `typing` up to 9.
_LOADED_LATER = {
    "AgentRuntime": "._runtime",
    "Budget": "._values",
    "BudgetRequest": "._values",
    "ChatClient": "._chat",
    "CircuitBreaker": "._breaker",
    "Finding": "._values",
    "IronCageCallbackHandler": ".langchain",
    "IronCageChain": ".langchain",
    "Metrics": "._values",
    "MockRuntime": "._mock",
    "Reply": "._chat",
    "Runtime": "._agents",
    "current_runtime": "._runtime",
    "ScanResult": "._values",
    "budget_request": "._run",
    "checkpoint": "._run",
    "current_budget": "._run",
    "event": "._run",
    "outcome": "._run",
    "progress": "._run",
    "record_cost": "._run",
    "request_budget": "._run",
    "restore": "._run",
    "scan": "._run",
    "service_url": "._run",
    "fallback": "._breaker",
    "protect_agent": "._protect",
}


def __getattr__(name: str) -> Any:
    if name not in _LOADED_LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    try:
        value = getattr(import_module(_LOADED_LATER[name], __name__), name)
    except ModuleNotFoundError as error:
        if _LOADED_LATER[name] != ".langchain":
            raise
        raise ImportError(f'{name} needs {error.name}: pip install "iron-cage[langchain]"') from error
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """Only the names that can be imported here: ``help`` and ``inspect`` ask for each."""
    from importlib.util import find_spec

    has_langchain = find_spec("langchain_core") is not None
    loaded_later = {name for name, module in _LOADED_LATER.items() if has_langchain or module != ".langchain"}
    return sorted({*globals(), *__all__, *loaded_later})
