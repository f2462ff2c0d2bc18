"""Calls an agent that is deployed: its function, its graph, or a run of its script. Needs the standard library only.

``IRON_CAGE_DEPLOY_SCRIPT`` is the path of its script, ``IRON_CAGE_DEPLOY_CALLABLE`` the function or graph in it; empty
when each call is a run of the script.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import subprocess
import sys
import threading
from typing import Any, Callable

_lock = threading.Lock()
_function: Callable[[Any], Any] | None = None


class AgentFailed(Exception):
    """A run of the script ended with an error."""


def call(inputs: Any) -> Any:
    """The agent's output for these inputs, both JSON values. Raises AgentFailed, and the exceptions of the agent
    itself."""
    if not os.environ.get("IRON_CAGE_DEPLOY_CALLABLE"):
        return _run(inputs)
    output = _load()(inputs)
    return asyncio.run(output) if inspect.iscoroutine(output) else output


def _load() -> Callable[[Any], Any]:
    global _function
    with _lock:
        if _function is None:
            folder, file = os.path.split(os.environ["IRON_CAGE_DEPLOY_SCRIPT"])
            sys.path.insert(0, folder)
            found = getattr(importlib.import_module(os.path.splitext(file)[0]), os.environ["IRON_CAGE_DEPLOY_CALLABLE"])
            function: Callable[[Any], Any] = found.invoke if hasattr(found, "invoke") else found
            _function = function
        return _function


def _run(inputs: Any) -> Any:
    """Runs the script with the inputs as JSON on its stdin. Its stdout is the output: JSON if it is JSON, else text."""
    script = os.environ["IRON_CAGE_DEPLOY_SCRIPT"]
    command = [sys.executable, script] if script.endswith(".py") else [script]
    done = subprocess.run(command, input=json.dumps(inputs), capture_output=True, text=True, check=False)
    sys.stdout.write(done.stdout)
    sys.stderr.write(done.stderr)
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it wrote nothing to stderr"])[-1]
        raise AgentFailed(f"the script ended with exit code {done.returncode}: {last}")
    try:
        return json.loads(done.stdout)
    except ValueError:
        return done.stdout.rstrip("\n")
