"""Personal data in memory: the detector of ``MockRuntime``. Simpler than the server's redactor, and the same every time."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._pii_types import PiiType

_PATTERNS: tuple[tuple[PiiType, str], ...] = (
    (
        "secret",
        r"\b(?:sk-(?:ant-|proj-)?[\w-]{16,}|gh[pousr]_\w{20,}|AKIA[0-9A-Z]{16}|xox[abpr]-[\w-]{10,}|(?:run|ic)_[\w-]{20,})",
    ),
    ("email", r"\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+\b"),
    ("iban", r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b"),
    ("credit_card", r"\b\d{4}([ -]?)\d{4}\1\d{4}\1\d{1,7}\b"),
    ("ssn", r"\b(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}\b"),
    ("phone", r"(?<![\w+.-])(?:\+\d{1,3}[ .-]?)?(?:\(\d{2,4}\)[ .-]?|\d{2,4}[ .-])\d{3,4}[ .-]\d{3,4}\b"),
)
_FINDER = re.compile(
    "|".join(f"(?P<{name}>{pattern})" for name, pattern in _PATTERNS)
    .replace(r"\1", r"(?P=gap)")
    .replace("([ -]?)", "(?P<gap>[ -]?)")
)


def find(text: str) -> Iterator[tuple[PiiType, int, int]]:
    """Yields type, start and end of each datum, in the order of the text."""
    for match in _FINDER.finditer(text):
        kind: PiiType = next(name for name, _ in _PATTERNS if match.group(name) is not None)
        value = re.sub(r"[ -]", "", match.group())
        if kind == "credit_card" and not _is_card(value):
            continue
        if kind == "iban" and not _is_iban(value):
            continue
        yield kind, match.start(), match.end()


def redact(text: str) -> tuple[str, list[tuple[PiiType, int, int]]]:
    findings = list(find(text))
    pieces, last = [], 0
    for kind, start, end in findings:
        pieces += [text[last:start], f"[{kind.upper()}_REDACTED]"]
        last = end
    return "".join(pieces) + text[last:], findings


def _is_card(digits: str) -> bool:
    doubled = [int(digit) * (2 if place % 2 else 1) for place, digit in enumerate(reversed(digits))]
    return 13 <= len(digits) <= 19 and sum(value - 9 if value > 9 else value for value in doubled) % 10 == 0


def _is_iban(value: str) -> bool:
    return int("".join(str(int(letter, 36)) for letter in value[4:] + value[:4])) % 97 == 1
