"""Reports to the cage and requests to it, through the server's ``/api/run`` routes.

The rules: reporting without a cage never breaks an agent. ``progress``, ``outcome`` and ``event`` never raise, even
without a server: they warn once. The others raise, because their result matters.
"""

from __future__ import annotations

# At run time too: frameworks read the annotations of functions that they are given as tools.
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Literal, TypeVar, overload

from ._current import current_link, is_caged
from ._errors import IronCageError
from ._values import Budget, BudgetRequest, ScanResult, budget_from, request_from, scan_result_from, usd_text

Level = Literal["DEBUG", "INFO", "WARN", "ERROR"]
T = TypeVar("T")

_warned = False


def progress(done: int, total: int | None = None, unit: str = "units", label: str | None = None) -> None:
    """Reports the agent's progress: ``progress(23, 100, "leads")``.

    done: units finished so far, counted from the beginning of the whole work.
    total: number of units, None when unknown.
    unit: the name of the counted things, in the plural.
    label: the current unit. Must not contain personal data.

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
    """Reports the outcome of one unit of work.

    degraded: its result is worse than it should be, such as with data from a cache.
    label: which unit it was; a crash after a unit of a new label is one after progress.
    unit: the kind of unit, such as ``"lead"``.
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
    """Writes a line to the event log, with ``data`` of at most 16 KB of JSON. Never raises."""
    _report("/events", {"level": level, "message": message, "data": data})


def checkpoint(data: Any) -> None:
    """Stores ``data`` for ``restore``, replacing the last checkpoint.

    It survives a crash and a restart of the agent, and is deleted when the agent ends with exit code 0. It belongs to
    the agent's name and the path of its script.

    data: anything that can be JSON, at most 1 MiB and 100,000 values.

    Raises TypeError when JSON cannot hold it, IronCageError when the server refuses it, ServerUnreachable.
    """
    if is_caged():
        current_link().call("PUT", "/checkpoint", {"data": data})


@overload
def restore() -> Any: ...


@overload
def restore(default: T) -> T: ...


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
    """Charges the budget for a cost outside the gateway.

    service: the paid service, such as ``"serp_api"``.
    usd: US dollars, exact to nine fraction digits. A float means its printed value.

    Raises ValueError for anything but an amount, BudgetExceeded when it does not fit, ServerUnreachable.
    """
    body = {"service": service, "cost_usd": usd_text(usd)}
    if description is not None:
        body["description"] = description
    if is_caged():
        current_link().call("POST", "/charges", body)


def current_budget() -> Budget:
    """Returns the agent's current budget. Raises ServerUnreachable, also when there is no cage."""
    return budget_from(current_link().call("GET", "")["budget"])


def request_budget(usd: str | Decimal | float, reason: str) -> BudgetRequest:
    """Asks for a larger budget; a person decides. Does not wait for the decision: see ``budget_request``.

    It asks for more of the budget that has the least left of those that pay for the agent's calls: one of this server,
    or, on a server that has joined a Control Panel, one that it shares with other machines. Asking for the same again
    while it waits returns the request that waits.

    usd: how much more, in US dollars, exact to nine fraction digits. A float means its printed value.
    reason: why, for who decides; 1 to 500 characters. Must not contain personal data, which is redacted.

    Raises ValueError for anything but an amount above 0, IronCageError with the code ``conflict`` when too many requests
    of this agent wait, or with ``panel_unreachable``; ServerUnreachable, also when there is no cage.
    """
    amount = usd_text(usd)
    if amount == "0":
        raise ValueError("expected an amount of US dollars above 0, got 0")
    return request_from(current_link().call("POST", "/budget-requests", {"add_usd": amount, "reason": reason}))


def budget_request(id: str) -> BudgetRequest:
    """Returns a request of this agent as it is now.

    id: of what ``request_budget`` returned.

    Raises IronCageError with the code ``not_found`` for any other one; ServerUnreachable, also when there is no cage.
    """
    from urllib.parse import quote

    return request_from(current_link().call("GET", f"/budget-requests/{quote(id, safe='')}"))


def scan(text: str) -> ScanResult:
    """Finds personal data in ``text``, of all types. Raises ServerUnreachable, also when there is no cage."""
    return scan_result_from(current_link().call("POST", "/scan", {"text": text}), text)


def service_url(name: str) -> str:
    """Returns the base URL under which a configured service is called through the gateway.

    ``service_url("linkedin_api") + "/v2/companies"`` is then counted, charged and guarded by its circuit.

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
