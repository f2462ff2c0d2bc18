"""The argument of ``AgentRuntime(config)``: a configuration file, a dict, or any object with settings as attributes."""

from __future__ import annotations

import json
import os
from typing import Any

from ._wanted import ServerConfig

#: The names of a configuration that are arguments of ``AgentRuntime``. ``budget`` and ``db`` are sections of the server's
#: configuration as well: there they are mappings.
_ARGUMENTS = ("budget", "pii_detection", "name", "db", "start_timeout_s")


def arguments_of(config: Any) -> tuple[dict[str, Any], ServerConfig | None]:
    """Returns the arguments of ``AgentRuntime`` in a configuration, and those of the server.

    Raises ValueError for anything else: neither an amount, nor a file, nor settings.
    """
    if isinstance(config, os.PathLike):
        return {}, _file(os.fspath(config))
    if isinstance(config, str):
        return ({"budget": config}, None) if _is_amount(config) else ({}, _file(config))
    settings = _settings_of(config)
    if settings is None:
        return {"budget": config}, None
    arguments = {name: settings.pop(name) for name in _ARGUMENTS if not isinstance(settings.get(name, {}), dict)}
    budget, database = settings.get("budget", {}), settings.get("db", {})
    if "limit_usd" in budget:
        arguments["budget"] = budget["limit_usd"]
    if "path" in database:
        arguments["db"] = database["path"]
    return arguments, ServerConfig(content=json.dumps(settings, default=str)) if settings else None


def _is_amount(text: str) -> bool:
    return text.strip().lstrip("$-").replace(".", "", 1).isdigit()


def _file(path: str) -> ServerConfig:
    if not os.path.isfile(path):
        raise ValueError(f"expected an amount of US dollars, or the path of a configuration file, got {path!r}")
    return ServerConfig(path=os.path.abspath(path))


def _settings_of(config: Any) -> dict[str, Any] | None:
    """The public attributes of an object or a class; None for numbers."""
    if isinstance(config, dict):
        return dict(config)
    if isinstance(config, (int, float)) or type(config).__module__ == "decimal":
        return None
    own = vars(config) if hasattr(config, "__dict__") else {}
    if not own and not isinstance(config, type):
        own = vars(type(config))
    return {name: value for name, value in own.items() if not name.startswith("_") and not callable(value)}
