"""What the cage refused, found inside the exceptions of the SDKs and frameworks that met the refusal.

``openai`` and ``anthropic`` raise their own exceptions for an answer with an error status, and frameworks wrap those
again. All of them keep the answer. Nothing of theirs is imported here: whoever has none of them can use this as well.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from ._errors import IronCageError, error_from_answer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


@contextmanager
def refusals_raised() -> Iterator[None]:
    """Within it, an exception that tells of a refusal of the cage is raised as ours; every other one as it is."""
    try:
        yield
    except Exception as error:
        refusal = refusal_in(error)
        if refusal is None or refusal is error:
            raise
        raise refusal from error


def refusal_in(error: BaseException) -> IronCageError | None:
    """The refusal that ``error`` or one of its causes tells of; None for all that a provider or an agent did wrong."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        refusal = cause if isinstance(cause, IronCageError) else _from_sdk(cause)
        if refusal is not None:
            return refusal
        cause = cause.__cause__ or cause.__context__
    return None


def _from_sdk(error: BaseException) -> IronCageError | None:
    body: Any = getattr(error, "body", None)
    if not isinstance(body, dict):
        return None
    # openai keeps what is below "error", anthropic the whole body.
    inner = body.get("error") if isinstance(body.get("error"), dict) else body
    response = getattr(error, "response", None)
    # In the middle of a stream there is no answer any more, only the last event.
    status = getattr(error, "status_code", None) or 502
    headers = {name.lower(): value for name, value in getattr(response, "headers", {}).items()}
    refusal = error_from_answer(status, json.dumps({"error": inner}).encode(), headers)
    # A provider's own refusal, such as a wrong key, is the agent's business and stays what it is.
    return refusal if refusal.code in _OURS else None


_OURS = frozenset({
    "agent_not_running",
    "agent_paused",
    "budget_exceeded",
    "budget_held",
    "circuit_open",
    "pii_blocked",
    "price_unknown",
    "provider_key_missing",
    "redaction_failed",
    "vault_locked",
})
