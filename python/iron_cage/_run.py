"""What an agent reports to its cage and asks it, over the server's ``/api/run`` routes.

The rules: without a cage nothing here breaks an agent that merely reports. ``progress``, ``outcome`` and ``event`` never
raise, whatever happens to the server: they warn once. The others raise, because their answer matters.
"""

from __future__ import annotations

from ._current import current_link, is_caged
from ._errors import IronCageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from decimal import Decimal
    from typing import Any, Literal

    from ._values import Budget, ScanResult

    Level = Literal["DEBUG", "INFO", "WARN", "ERROR"]

_warned = False


def progress(done: int, total: int | None = None, unit: str = "units", label: str | None = None) -> None:
    """Says how far the agent is: ``progress(23, 100, "leads")``.

    done: units finished so far, counted from the beginning of the whole work.
    total: units there are, None when unknown.
    unit: what is counted, in the plural.
    label: what the agent is at now. No personal data, please.

    Never raises.
    """
    _report("/progress", {"done": done, "total": total, "unit": unit, "label": label})


def outcome(
    outcome: Literal["succeeded", "failed"],
    *,
    degraded: bool = False,
    label: str | None = None,
    unit: str | None = None,
    latency_ms: float | None = None,
    reason: str | None = None,
) -> None:
    """Says how one unit of work ended.

    degraded: it ended with less than it should have had, such as data from a cache.
    label: which unit it was; a crash after a unit of a new label is one after progress. unit: what it is one of, such
        as ``"lead"``.
    latency_ms: how long it took, in milliseconds.
    reason: why it failed.

    Never raises.
    """
    whole_ms = None if latency_ms is None else round(latency_ms)
    body = {
        "outcome": outcome,
        "degraded": degraded,
        "label": label,
        "unit": unit,
        "latency_ms": whole_ms,
        "reason": reason,
    }
    _report("/outcomes", {name: value for name, value in body.items() if value is not None})


def event(message: str, level: Level = "INFO", **data: Any) -> None:
    """Writes a line into the event log, with ``data`` beside it, at most 16 KB of JSON. Never raises."""
    _report("/events", {"level": level, "message": message, "data": data})


def checkpoint(data: Any) -> None:
    """Keeps ``data`` for ``restore``, in place of what was kept before.

    It outlives a crash and a restart of the agent, and is forgotten when the agent ends with exit code 0. It belongs to
    the agent's name and the path of its script.

    data: anything that JSON can hold, at most 1 MiB and 100,000 values.

    Raises TypeError when JSON cannot hold it, IronCageError when the server refuses it, ServerUnreachable.
    """
    if is_caged():
        current_link().call("PUT", "/checkpoint", {"data": data})


def restore(default: Any = None) -> Any:
    """Returns the data of the last ``checkpoint``, or ``default`` when there is none.

    Raises ServerUnreachable: starting over by mistake would pay twice.
    """
    if not is_caged():
        return default
    try:
        return current_link().call("GET", "/checkpoint")["data"]
    except IronCageError as error:
        if error.code == "not_found":
            return default
        raise


def record_cost(service: str, usd: str | Decimal | float, description: str | None = None) -> None:
    """Charges the budget with something that did not pass the gateway.

    service: who is paid, such as ``"serp_api"``.
    usd: US dollars, exact to nine fraction digits. A float means what it prints as.

    Raises ValueError for anything but an amount, BudgetExceeded when it does not fit any more, ServerUnreachable.
    """
    from ._values import usd_text

    body = {"service": service, "cost_usd": usd_text(usd)}
    if description is not None:
        body["description"] = description
    if is_caged():
        current_link().call("POST", "/charges", body)


def current_budget() -> Budget:
    """Returns the agent's budget as it is now. Raises ServerUnreachable, also when there is no cage."""
    from ._values import budget_from

    return budget_from(current_link().call("GET", "")["budget"])


def scan(text: str) -> ScanResult:
    """Finds personal data in ``text``, of all types. Raises ServerUnreachable, also when there is no cage."""
    from ._values import scan_result_from

    return scan_result_from(current_link().call("POST", "/scan", {"text": text}), text)


def service_url(name: str) -> str:
    """Returns the base URL under which a configured service is called through the gateway.

    ``service_url("linkedin_api") + "/v2/companies"`` is then counted, paid and guarded by its circuit.

    Raises ServerUnreachable when there is no cage.
    """
    return current_link().gateway_url(f"services/{name}")


def _report(path: str, body: Mapping[str, Any]) -> None:
    global _warned
    if not is_caged():
        return
    try:
        # `default=str`: an object in the data of an event is shown as it prints.
        current_link().call("POST", path, body, default=str)
    except Exception as error:
        if not _warned:
            _warned = True
            import warnings

            warnings.warn(f"Iron Cage does not hear this agent's reports: {error}", RuntimeWarning, stacklevel=3)
