"""Finds an agent by its id, the beginning of one, a name, or the file of a script."""

from __future__ import annotations

import os.path
from typing import Any
from urllib.parse import quote, urlencode

from .client import Client
from .errors import CliError

_RUNNING = ("starting", "running", "paused", "stopping")


def agent_path(client: Client, named: str) -> str:
    """``/api/agents/<id>``. Raises CliError ``usage`` when several match."""
    agents = client.send("GET", "/api/agents")["agents"]
    found = _find(agents, named)
    if not any(agent["id"] == found for agent in agents):
        past = client.send("GET", "/api/agents/past?" + urlencode({"named": named, "limit": 1000}))
        found = _find(past["agents"], named)
    return "/api/agents/" + quote(found, safe="")


def _find(agents: list[dict[str, Any]], named: str) -> str:
    """Of agents with one name a running one is preferred; a word that matches none may be the id of an old agent."""
    called = [agent for agent in agents if named in (agent["name"], os.path.basename(agent["script"]))]
    for meant in (
        [agent for agent in agents if agent["id"] == named],
        [agent for agent in called if agent["state"] in _RUNNING],
        called,
        [agent for agent in agents if named and agent["id"].startswith(named)],
    ):
        if len(meant) > 1:
            candidates = "\n".join(f"  {agent['id']}  {agent['name']}  {agent['state']}" for agent in meant)
            hint = "use the id of the one you mean"
            raise CliError("usage", f'"{named}" matches {len(meant)} agents\n{candidates}', hint, 400)
        if meant:
            return str(meant[0]["id"])
    return named
