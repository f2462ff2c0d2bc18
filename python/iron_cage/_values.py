"""The values that functions return. Imported at first use only: ``dataclasses`` and ``decimal`` take up to 25 ms to import."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_EVEN, Decimal
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ._pii_types import PiiType, Risk

_NANODOLLAR = Decimal("0.000000001")
#: The server's largest amount.
_MAX_USD = Decimal(9_000_000)


@dataclass(frozen=True)
class Budget:
    """The agent's budget at one moment, in US dollars."""

    limit_usd: Decimal
    #: Charged so far.
    spent_usd: Decimal
    #: Reserved for running calls.
    held_usd: Decimal
    #: Maximum cost of a new call: limit less spent less held.
    remaining_usd: Decimal
    #: Spent as a share of the limit, 0–100.
    used_percent: float
    #: The warning threshold (90 % by default) has been passed.
    warned: bool

    @property
    def limit(self) -> Decimal:
        return self.limit_usd

    @property
    def spent(self) -> Decimal:
        return self.spent_usd

    @property
    def held(self) -> Decimal:
        return self.held_usd

    @property
    def remaining(self) -> Decimal:
        return self.remaining_usd


@dataclass(frozen=True)
class BudgetRequest:
    """A request of the agent for more budget, and its outcome."""

    id: str
    #: Of which budget: ``agent``, ``run`` or ``server`` of this server, or a shared one such as ``team research``.
    budget: str
    #: How much more, in US dollars.
    add_usd: Decimal
    #: As it is shown to people: without personal data.
    reason: str
    #: ``pending``, ``approved`` or ``rejected``.
    state: str
    #: The reason that the decider gave on the Control Panel, None without one.
    decision: str | None


@dataclass(frozen=True)
class Finding:
    """One piece of personal data in a scanned text: ``text[start:end]``."""

    type: PiiType
    start: int
    end: int
    risk: Risk


@dataclass(frozen=True)
class ScanResult:
    """The findings of ``scan``, and the redacted text."""

    findings: tuple[Finding, ...]
    redacted: str


@dataclass(frozen=True)
class Metrics:
    """An agent's calls, outcomes and costs so far."""

    #: Calls of models that were answered, and that failed.
    calls: int
    failed_calls: int
    #: In US dollars, for models and services.
    spent_usd: Decimal
    #: Pieces of personal data that were found, by type: ``{"email": 2}``.
    pii: dict[str, int]
    #: Units of work that succeeded and failed, as the agent reported them with ``outcome``.
    succeeded: int
    failed: int
    #: ``calls``, ``cost_usd``, ``input_tokens`` and ``output_tokens`` by model.
    by_model: dict[str, dict[str, Any]]
    #: The figures of the dashboard, under its names: ``spent``, ``used``, ``progress``, ``success``, ``p95``, ``saved_usd`` …
    figures: dict[str, Any]


def metrics_from(body: Any) -> Metrics:
    return Metrics(
        calls=body["calls"]["completed"],
        failed_calls=body["calls"]["failed"],
        spent_usd=Decimal(body["spent_usd"]),
        pii=body["pii"],
        succeeded=body["outcomes"]["succeeded"],
        failed=body["outcomes"]["failed"],
        by_model=body["by_model"],
        figures=body["figures"],
    )


def budget_from(body: Any) -> Budget:
    return Budget(
        limit_usd=Decimal(body["limit_usd"]),
        spent_usd=Decimal(body["spent_usd"]),
        held_usd=Decimal(body["held_usd"]),
        remaining_usd=Decimal(body["remaining_usd"]),
        used_percent=float(body["used_percent"]),
        warned=bool(body["warned"]),
    )


def request_from(body: Any) -> BudgetRequest:
    return BudgetRequest(
        id=body["id"],
        budget=body["budget"],
        add_usd=Decimal(body["add_usd"]),
        reason=body["reason"],
        state=body["state"],
        decision=body["decision"],
    )


def scan_result_from(body: Any, text: str) -> ScanResult:
    # The server counts UTF-16 units. They are Python's characters as long as all of them are below U+10000.
    units = text.encode("utf-16-le", "surrogatepass")
    same = len(units) == 2 * len(text)

    def position(offset: int) -> int:
        return offset if same else len(units[: 2 * offset].decode("utf-16-le", "surrogatepass"))

    findings = tuple(
        Finding(type=one["type"], start=position(one["start"]), end=position(one["end"]), risk=one["risk"])
        for one in body["findings"]
    )
    return ScanResult(findings=findings, redacted=body["redacted"])


def usd_text(usd: str | Decimal | float) -> str:
    """An exact decimal string with at most nine fraction digits. A float means its shortest notation: 0.1 is "0.1".

    "$5" is 5, as on the command line. Raises ValueError for anything that is no amount of 0 to 9,000,000.
    """
    text = str(usd).strip()
    try:
        amount = Decimal(text[text.startswith("$") :]).quantize(_NANODOLLAR, rounding=ROUND_HALF_EVEN)
    except ArithmeticError:
        amount = Decimal("nan")
    if isinstance(usd, bool) or not amount.is_finite() or not 0 <= amount <= _MAX_USD:
        raise ValueError(f"expected an amount of US dollars from 0 to {_MAX_USD:,}, got {usd!r}")
    return f"{abs(amount):f}".rstrip("0").rstrip(".")
