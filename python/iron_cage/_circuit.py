"""One circuit, with the server's rules: ``CircuitBreaker`` uses it without a server, and ``MockRuntime`` always.

- closed → open after a number of failures in a row; open → half open at the first call after the cooldown; half open →
  closed or open by the outcome of that call.
- At most one probe at a time, with a deadline: after it the circuit is open again, even without a report.
- A result of an earlier state changes nothing: calls that began before a trip neither end nor extend it.
"""

from __future__ import annotations

import threading

from ._errors import CircuitOpen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal

    Outcome = Literal["succeeded", "failed", "ignored"]


class Circuit:
    """Times are seconds of a monotonic clock."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.failures = 0
        self._lock = threading.Lock()
        self._epoch = 0
        #: Until when it refuses; None while it is closed or half open.
        self._open_until: float | None = None
        #: Deadline of the probe; None without one.
        self._probe_until: float | None = None

    @property
    def state(self) -> Literal["closed", "open", "half_open"]:
        if self._open_until is not None:
            return "open"
        return "closed" if self._probe_until is None else "half_open"

    def admit(self, cooldown_s: float, timeout_s: float, now: float) -> int:
        """Returns a ticket for one call. Raises CircuitOpen."""
        with self._lock:
            if self._probe_until is not None and now >= self._probe_until:
                self._change(open_until=self._probe_until + cooldown_s)
            until = self._open_until if self._open_until is not None else self._probe_until
            if until is not None and now < until:
                raise _refusal(self.name, until - now)
            if self._open_until is not None:
                self._change(probe_until=now + timeout_s)
            return self._epoch

    def conclude(self, ticket: int, outcome: Outcome, failures: int, cooldown_s: float, now: float) -> None:
        """Reports the outcome of the call with that ticket."""
        with self._lock:
            if ticket != self._epoch or self._open_until is not None:
                return
            is_probe = self._probe_until is not None
            if outcome == "ignored":
                if is_probe:
                    self._change(open_until=now)  # the next call probes in its place
                return
            self.failures = 0 if outcome == "succeeded" else self.failures + 1
            if outcome == "failed" and (is_probe or self.failures >= failures):
                self._change(open_until=now + cooldown_s)
            elif is_probe:
                self._change()

    def open(self, until: float) -> None:
        with self._lock:
            self._change(open_until=until)

    def _change(self, open_until: float | None = None, probe_until: float | None = None) -> None:
        self._open_until = open_until
        self._probe_until = probe_until
        self._epoch += 1


def _refusal(name: str, wait_s: float) -> CircuitOpen:
    return CircuitOpen(
        f"the circuit of {name} is open for another {wait_s:.0f} s",
        code="circuit_open",
        facts={"circuit": name, "retry_after_s": wait_s},
    )
