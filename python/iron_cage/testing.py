"""A kit for testing agents: without a server, without a network, without a cent.

``MockRuntime`` is a cage in memory. With pytest, installing iron-cage brings these fixtures by itself (in a project that
only has the files on its path: ``pytest_plugins = ["iron_cage.testing"]`` in ``conftest.py``):

- ``iron_cage``: a ``MockRuntime`` that the test runs inside of
- ``iron_cage_llm``: its model, which gives the answers queued with ``iron_cage_llm.reply("…")`` and
  ``iron_cage_llm.fail(503)``
- ``iron_cage_budget``: its limit in US dollars, 100; override the fixture or mark the test to choose another

::

    @pytest.mark.iron_cage(budget="0.05", listen=True)      # listen: for clients of other packages
    def test_the_agent_stops_when_it_is_poor(iron_cage_llm):
        iron_cage_llm.reply("Hello", cost_usd="0.04")
        with assert_budget_exceeded():
            my_agent()                                       # uses openai, langchain, ... as it is
        assert len(iron_cage_llm.calls) == 2

The assertions accept exceptions of ours and of the providers' clients. A failure shows the tested value, but never
personal data or a secret.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from ._errors import BudgetExceeded, CircuitOpen, IronCageError, refusal_in
from ._mock import MockEvent, MockRuntime
from ._mock_llm import (
    MockCall,
    MockLLM,
    anthropic_reply,
    anthropic_stream,
    gemini_reply,
    gemini_stream,
    openai_reply,
    openai_response,
    openai_response_stream,
    openai_stream,
)
from ._mock_pii import find

if TYPE_CHECKING:
    from ._runtime import Money

__all__ = [
    "Caught",
    "MockCall",
    "MockEvent",
    "MockLLM",
    "MockRuntime",
    "PiiSample",
    "anthropic_reply",
    "anthropic_stream",
    "assert_budget_exceeded",
    "assert_circuit_open",
    "assert_no_secrets_leaked",
    "assert_pii_detected",
    "gemini_reply",
    "gemini_stream",
    "openai_reply",
    "openai_response",
    "openai_response_stream",
    "openai_stream",
    "pii_sample",
    "pii_samples",
]

E = TypeVar("E", bound=IronCageError)


class Caught(Generic[E]):
    """The error that an assertion caught, after its block."""

    _error: E | None = None

    def catch(self, error: E) -> None:
        self._error = error

    @property
    def error(self) -> E:
        """Raises LookupError inside of the block."""
        if self._error is None:
            raise LookupError("the block has not ended")
        return self._error


@contextmanager
def assert_budget_exceeded(*, limit: Money | None = None) -> Iterator[Caught[BudgetExceeded]]:
    """Passes when the block ends with a refusal of the budget, from the cage or from a provider's client.

    limit: the limit that refused, in US dollars.

    Raises AssertionError otherwise; another exception of the block passes through.
    """
    with _assert_refused(BudgetExceeded, "the budget was not exceeded") as caught:
        yield caught
    if limit is not None and caught.error.limit_usd != Decimal(str(limit)):
        raise AssertionError(f"a limit of ${caught.error.limit_usd} refused, not of ${limit}")


@contextmanager
def assert_circuit_open(name: str | None = None) -> Iterator[Caught[CircuitOpen]]:
    """Passes when the block ends because a circuit was open; as ``assert_budget_exceeded``. name: of the circuit."""
    with _assert_refused(CircuitOpen, "no circuit was open") as caught:
        yield caught
    if name is not None and caught.error.circuit != name:
        raise AssertionError(f"the circuit of {caught.error.circuit} was open, not that of {name}")


@contextmanager
def _assert_refused(kind: type[E], otherwise: str) -> Iterator[Caught[E]]:
    caught: Caught[E] = Caught()
    try:
        yield caught
    except Exception as error:
        refusal = refusal_in(error)
        if not isinstance(refusal, kind):
            raise
        caught.catch(refusal)
        return
    raise AssertionError(otherwise)


def assert_pii_detected(where: MockRuntime | str, *types: str) -> None:
    """Passes when personal data was found: by a runtime in the replies of its models, or in a text.

    types: each of which must be among it: ``email``, ``phone``, ``ssn``, ``credit_card``, ``iban``, ``secret``.
        (Default: any.)
    """
    found = {finding.type for finding in where.findings} if isinstance(where, MockRuntime) else _types_in(where)
    missing = set(types) - found
    if missing or not found:
        wanted = ", ".join(sorted(missing)) or "personal data"
        raise AssertionError(f"{wanted} was not detected; what was: {', '.join(sorted(found)) or 'nothing'}")


def assert_no_secrets_leaked(*things: Any, secrets: Iterable[str] = ()) -> None:
    """Passes when nothing that looks like a key or token, and none of ``secrets``, is in ``things``.

    things: texts, exceptions, anything that JSON or ``repr`` shows, and runtimes: the reports that they received and
        the answers that their agents got.
    """
    known = [secret for secret in secrets if secret]
    for place, thing in enumerate(things):
        text = _text_of(thing)
        for number, secret in enumerate(known):
            if secret in text:
                raise AssertionError(f"secret number {number + 1} of those given is in {_named(thing, place)}")
        if "secret" in _types_in(text):
            raise AssertionError(f"something that looks like a key or token is in {_named(thing, place)}")


def _types_in(text: str) -> set[str]:
    return {kind for kind, _, _ in find(text)}


def _text_of(thing: Any) -> str:
    if isinstance(thing, bytes):
        return thing.decode("utf-8", "replace")
    if isinstance(thing, str):
        return thing
    if isinstance(thing, MockRuntime):
        # The names of its events and calls are words of ours, their content is the agent's.
        return "\n".join([*(str(event.data) for event in thing.events), *(str(call.text) for call in thing.calls)])
    if isinstance(thing, BaseException):
        return "\n".join([str(thing), repr(thing.args), repr(getattr(thing, "facts", ""))])
    return repr(thing)


def _named(thing: Any, place: int) -> str:
    return f"argument {place + 1} ({type(thing).__name__})"


@dataclass(frozen=True)
class PiiSample:
    """A text with one made-up datum: ``text[start:end] == value``."""

    type: str
    text: str
    value: str
    start: int

    @property
    def end(self) -> int:
        return self.start + len(self.value)


_SENTENCES = (
    "Please write to {} before Friday.",
    "The record says {}; is that right?",
    "Contact: {}",
    "We have {} on file for this customer.",
)


def pii_sample(type: str, seed: int = 0) -> PiiSample:
    """Returns one sample of a type, the same for the same seed. Raises ValueError for a type that there is not."""
    chance = random.Random(f"{type} {seed}")
    if type not in _VALUES:
        raise ValueError(f"expected one of {', '.join(_VALUES)}, got {type!r}")
    value = _VALUES[type](chance)
    sentence = chance.choice(_SENTENCES)
    return PiiSample(type, sentence.format(value), value, sentence.index("{}"))


def pii_samples(count: int = 6, seed: int = 0) -> list[PiiSample]:
    """Returns ``count`` samples, of each type in turn, the same for the same seed. All of it is made up."""
    kinds = list(_VALUES)
    return [pii_sample(kinds[number % len(kinds)], seed * 1_000_003 + number) for number in range(count)]


def _digits(chance: random.Random, count: int) -> str:
    return "".join(str(chance.randrange(10)) for _ in range(count))


def _email(chance: random.Random) -> str:
    # Domains that RFC 2606 keeps for examples.
    name = chance.choice(("ada", "grace", "alan", "edsger", "barbara"))
    return f"{name}.{_digits(chance, 3)}@{chance.choice(('example.com', 'example.org', 'mail.example'))}"


def _phone(chance: random.Random) -> str:
    # 555-01xx is for fiction.
    return f"+1 {chance.choice(('415', '212', '617'))}-555-01{_digits(chance, 2)}"


def _ssn(chance: random.Random) -> str:
    return f"{chance.randrange(100, 600)}-{chance.randrange(10, 99)}-{chance.randrange(1000, 9999)}"


def _credit_card(chance: random.Random) -> str:
    body = f"4000{_digits(chance, 11)}"
    doubled = [int(digit) * (1 if place % 2 else 2) for place, digit in enumerate(reversed(body))]
    check = -sum(value - 9 if value > 9 else value for value in doubled) % 10
    return re.sub(r"(\d{4})(?=\d)", r"\1 ", f"{body}{check}")


def _iban(chance: random.Random) -> str:
    account = _digits(chance, 18)
    check = 98 - int(f"{account}131400") % 97  # D is 13, E is 14
    return f"DE{check:02}{account}"


def _secret(chance: random.Random) -> str:
    letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
    return "sk-" + "".join(chance.choice(letters) for _ in range(40))


_VALUES = {
    "email": _email,
    "phone": _phone,
    "ssn": _ssn,
    "credit_card": _credit_card,
    "iban": _iban,
    "secret": _secret,
}

try:
    import pytest  # noqa: F401
except ImportError:  # the kit works with any test runner; the fixtures are pytest's
    pass
else:
    from ._pytest import iron_cage, iron_cage_budget, iron_cage_llm, pytest_configure  # noqa: F401  (pytest looks for them here)
