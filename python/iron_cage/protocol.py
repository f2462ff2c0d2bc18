"""The published data protocol: JSON Schemas (draft 7) of the records and reports of runtimes.

``docs/protocol.md`` lists the changes of minor versions. The schemas are plain dictionaries, for any validator::

    from iron_cage.protocol import schema

    jsonschema.validate(event, schema("event"))
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

__all__ = ["names", "schema", "version"]


@cache
def _protocol() -> dict[str, Any]:
    text = (files("iron_cage") / "protocol.json").read_text(encoding="utf-8")
    protocol: dict[str, Any] = json.loads(text)
    return protocol


def version() -> str:
    """The version of Iron Cage that the schemas describe, such as ``"0.3.0"``."""
    return str(_protocol()["version"])


def names() -> list[str]:
    """The names of all schemas, such as ``"event"`` and ``"lease-request"``."""
    return list(_protocol()["schemas"])


def schema(name: str) -> dict[str, Any]:
    """A new copy of the JSON Schema with this name. Raises ``KeyError`` if there is none."""
    copy: dict[str, Any] = json.loads(json.dumps(_protocol()["schemas"][name]))
    return copy
