"""The agent as a function of Modal. This file is imported here and in the containers."""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import modal

#: Where a container finds the gateway: modal_relay.py listens there.
RELAY = "http://127.0.0.1:8090"
#: Containers at the same time.
MAX_CONTAINERS = 10
#: Longest call, in seconds.
TIMEOUT_S = 600

HERE = Path(__file__).parent


def _variables() -> dict[str, str | None]:
    """The agent's variables, with the relay's address instead of the gateway's."""
    server = os.environ.get("IRON_CAGE_URL", "")
    names = [word for word in "{env}".split() if word != "--env"]
    values = {name: os.environ[name] for name in names if name in os.environ}
    agent = {"IRON_CAGE_DEPLOY_SCRIPT": "/srv/agent/{file}", "IRON_CAGE_DEPLOY_CALLABLE": "{callable}"}
    return {**{name: value.replace(server, RELAY) for name, value in values.items()}, **agent}


app = modal.App("iron-cage-{name}")
image = modal.Image.debian_slim(python_version=".".join(map(str, sys.version_info[:2])))
if (HERE / "agent/requirements.txt").is_file():
    image = image.pip_install_from_requirements(str(HERE / "agent/requirements.txt"))
image = image.add_local_dir(HERE / "agent", "/srv/agent")
image = image.add_local_file("{sdk}/caged_agent.py", "/root/caged_agent.py")
image = image.add_local_file(HERE / "modal_relay.py", "/root/modal_relay.py")


@app.function(
    image=image,
    secrets=[modal.Secret.from_dict(_variables() if modal.is_local() else {})],
    gpu="{gpu}" or None,
    max_containers=MAX_CONTAINERS,
    timeout=TIMEOUT_S,
)
def call(request: str, calls: modal.Queue) -> str:
    """The agent's reply to JSON inputs, as JSON: ``{"output": …}`` or ``{"error": …}``. ``calls``: what it asks of the gateway."""
    import caged_agent  # type: ignore[import-not-found]  # in the container
    import modal_relay  # type: ignore[import-not-found]

    modal_relay.serve(RELAY, calls)
    try:
        reply: dict[str, Any] = {"output": caged_agent.call(json.loads(request))}
    except Exception as error:  # noqa: BLE001 - whatever an agent raises is the reply to this one call
        traceback.print_exc()
        reply = {"error": f"{type(error).__name__}: {error}"}
    return json.dumps(reply, default=str)
