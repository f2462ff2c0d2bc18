"""The types of personal data and their risks, written by `npm run docs` from `src/core/pii-types.ts`."""

from __future__ import annotations

from typing import Literal

PiiType = Literal[
    "email",
    "phone",
    "ssn",
    "credit_card",
    "iban",
    "secret",
    "ip",
    "national_id",
    "document_number",
    "date_of_birth",
    "crypto_wallet",
    "mac",
]
Risk = Literal["HIGH", "MEDIUM"]

RISKS: dict[PiiType, Risk] = {
    "email": "HIGH",
    "phone": "MEDIUM",
    "ssn": "HIGH",
    "credit_card": "HIGH",
    "iban": "HIGH",
    "secret": "HIGH",
    "ip": "MEDIUM",
    "national_id": "HIGH",
    "document_number": "HIGH",
    "date_of_birth": "HIGH",
    "crypto_wallet": "HIGH",
    "mac": "MEDIUM",
}
