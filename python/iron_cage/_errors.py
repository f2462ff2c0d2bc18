"""The exceptions, and how an answer of the server becomes one. The tree is drawn in ``iron_cage/__init__.py``."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal
    from typing import Any


class IronCageError(Exception):
    """A refusal of the Iron Cage server, or a failure to reach it.

    code: the server's name for it, such as ``"budget_exceeded"``.
    status: the HTTP status, None without a response.
    hint: what to do next, also part of the message.
    request_id: identifies the request in the server's log.
    facts: the values in the message, by name.
    """

    def __init__(
        self,
        message: str,
        *,
        code: str = "internal",
        status: int | None = None,
        hint: str | None = None,
        request_id: str | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(f"{message} ({hint})" if hint else message)
        self.code = code
        self.status = status
        self.hint = hint
        self.request_id = request_id
        self.facts: dict[str, Any] = dict(facts or {})

    def _dollars(self, name: str) -> Decimal | None:
        from decimal import Decimal

        return Decimal(self.facts[name]) if self.facts.get(name) is not None else None


class BudgetExceeded(IronCageError):
    """The call was not made because it does not fit into the budget."""

    @property
    def limit_usd(self) -> Decimal | None:
        return self._dollars("limit_usd")

    @property
    def spent_usd(self) -> Decimal | None:
        return self._dollars("spent_usd")

    @property
    def needed_usd(self) -> Decimal | None:
        """Maximum cost of the refused call."""
        return self._dollars("needed_usd")


class PiiBlocked(IronCageError):
    """The reply contained personal data and ``safety.mode`` is ``block``. The call was charged all the same."""

    @property
    def pii_types(self) -> tuple[str, ...]:
        """Such as ``("email", "phone")``. Never the data."""
        return tuple(filter(None, str(self.facts.get("types") or "").split(",")))


class CircuitOpen(IronCageError):
    """A provider or service failed too often; nothing was sent, and there is no fallback."""

    @property
    def circuit(self) -> str | None:
        """The name of the provider or service."""
        return self.facts.get("circuit")

    @property
    def retry_after_s(self) -> float | None:
        """Seconds until it is tried again."""
        seconds = self.facts.get("retry_after_s")
        return None if seconds is None else float(seconds)


class AccessDenied(IronCageError):
    """The token is unknown, no longer valid, or may not do this."""


class PriceUnknown(IronCageError):
    """The model has no price, so its calls cannot be counted and are not made."""

    @property
    def provider(self) -> str | None:
        return self.facts.get("provider")

    @property
    def model(self) -> str | None:
        return self.facts.get("model")


class VaultLocked(IronCageError):
    """The server was started without its master key."""


class ServerUnreachable(IronCageError):
    """No server responds at the address, or there is no address: the agent does not run under Iron Cage."""

    @property
    def url(self) -> str | None:
        return self.facts.get("url")


_CLASSES: dict[str, type[IronCageError]] = {
    "budget_exceeded": BudgetExceeded,
    "pii_blocked": PiiBlocked,
    "circuit_open": CircuitOpen,
    "unauthorized": AccessDenied,
    "forbidden": AccessDenied,
    "agent_not_running": AccessDenied,
    "host_refused": AccessDenied,
    "price_unknown": PriceUnknown,
    "model_refused": PriceUnknown,
    "vault_locked": VaultLocked,
    "server_unreachable": ServerUnreachable,
}


def error_from_answer(status: int, body: bytes, headers: Mapping[str, str]) -> IronCageError:
    """The exception for an answer with an error status, of the server or, through the gateway, of a provider."""
    error = _error_object(body)
    code = str(error.get("code") or error.get("type") or f"http_{status}")
    facts: dict[str, Any] = dict(error.get("facts") or {})
    if headers.get("retry-after") is not None:
        facts.setdefault("retry_after_s", _seconds(headers["retry-after"]))
    return _CLASSES.get(code, AccessDenied if status in (401, 403) else IronCageError)(
        str(error.get("message") or f"the server answered with status {status}"),
        code=code,
        status=status,
        hint=error.get("hint"),
        request_id=error.get("request_id") or headers.get("x-request-id"),
        facts=facts,
    )


def _error_object(body: bytes) -> dict[str, Any]:
    """Empty when the body is not of our server or a provider."""
    import json

    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return {}
    return error if isinstance(error, dict) else {}


def _seconds(text: str) -> float | None:
    try:
        return max(0.0, float(text))
    except ValueError:  # an HTTP date, which the server itself never sends
        return None


def refusal_in(error: BaseException | None) -> IronCageError | None:
    """The refusal behind an exception of a provider's client, which a framework may have wrapped in its own.

    Nothing of theirs is imported. An exception of openai and anthropic has the ``body`` of the answer, also of the last
    event of a stream; one of httpx and requests has the ``response``. A provider's own refusal, such as a wrong key, is
    the agent's business and no refusal of ours.
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, IronCageError):
            return error
        refusal = _told_by(error)
        if refusal is not None:
            return refusal
        error = error.__cause__ or error.__context__
    return None


def _told_by(error: BaseException) -> IronCageError | None:
    import json

    response = getattr(error, "response", None)
    body = getattr(error, "body", None)
    status = getattr(error, "status_code", None) or getattr(response, "status_code", None)
    try:
        headers = {str(name).lower(): str(value) for name, value in getattr(response, "headers", {}).items()}
        if isinstance(body, dict):
            # openai keeps the content of "error", anthropic the whole body.
            content = json.dumps({"error": body.get("error") or body}).encode()
        elif isinstance(status, int) and status >= 400:
            content = bytes(response.content)  # type: ignore[union-attr]
        else:
            return None
    except Exception:  # a stream that was not read, or another kind of response
        return None
    # Without a status it was an event in the middle of a stream.
    refusal = error_from_answer(status if isinstance(status, int) else 502, content, headers)
    return refusal if refusal.code in _ONLY_OURS else None


_ONLY_OURS = frozenset(
    {
        "agent_not_running",
        "agent_paused",
        "budget_exceeded",
        "budget_held",
        "circuit_open",
        "model_refused",
        "pii_blocked",
        "price_unknown",
        "provider_key_missing",
        "redaction_failed",
        "vault_locked",
    }
)
