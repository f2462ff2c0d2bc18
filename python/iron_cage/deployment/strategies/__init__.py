"""Strategies to deploy a caged agent, from Python, as with ``iron-cage strategies`` and ``iron-cage deploy``.

    from iron_cage.deployment.strategies import DeploymentFactory, StrategyRegistry

    StrategyRegistry.get().list_strategies(allowed=["local", "docker"])
    with DeploymentFactory.create("agent.py", strategy="auto", budget=5) as agent:
        print(agent.run({"question": "Is it open?"}))

A strategy is a folder; docs/deployment.md explains how to add one.
"""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from ..._errors import IronCageError
from ..._program import find_program

__all__ = ["DeploymentFactory", "Runner", "StrategyRegistry"]


class StrategyRegistry:
    """The strategies of Iron Cage and of ``strategies/`` in the working directory. They are read at each question."""

    _registry: StrategyRegistry | None = None

    @classmethod
    def get(cls) -> StrategyRegistry:
        """The registry, always the same one."""
        if cls._registry is None:
            cls._registry = cls()
        return cls._registry

    def list_strategies(self, allowed: Iterable[str] | None = None) -> list[str]:
        """The names of all strategies that can be used, or of those that are allowed. (Default: all.)"""
        found = [strategy["name"] for strategy in _json("strategies", "list")["strategies"]]
        names = None if allowed is None else set(allowed)
        return [name for name in found if names is None or name in names]

    def get_selector_instruction(self, name: str) -> str:
        """When the strategy fits, as Markdown. Raises IronCageError ``not_found`` or ``invalid_strategy``."""
        return str(_json("strategies", "show", name)["selectorInstruction"])

    def get_adapter_instruction(self, name: str) -> str:
        """How it deploys an agent, as Markdown. Raises IronCageError ``not_found`` or ``invalid_strategy``."""
        return str(_json("strategies", "show", name)["adapterInstruction"])


class Runner:
    """A deployed agent. ``start`` deploys it, which ``DeploymentFactory.create`` has done already.

    A context manager that stops the agent at its end.
    """

    def __init__(self, name: str, command: list[str]) -> None:
        self.name = name
        self._command = command
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> None:
        """Deploys the agent and returns when it can be called. Raises IronCageError ``deployment_failed``."""
        process = subprocess.Popen(
            [*find_program(), *self._command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self._process = process
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if line.strip() == f"{self.name} can be called":
                # The rest is read, so that the program can write it.
                threading.Thread(target=_drain, args=(process.stdout,), daemon=True).start()
                return
        process.wait()
        raise IronCageError(
            f"{self.name} ended before it could be called\n{''.join(lines[-20:])}",
            code="deployment_failed",
            hint=f"run it in a terminal: iron-cage {' '.join(self._command)}",
        )

    def run(self, inputs: object) -> Any:
        """Calls the agent with JSON inputs and returns its output. Raises IronCageError ``deployment_failed``."""
        printed = _command("deploy", "call", self.name, stdin=json.dumps(inputs))
        try:
            return json.loads(printed)
        except ValueError:
            return printed.rstrip("\n")

    def stop(self) -> None:
        """Ends the agent and every process it started. Does nothing when it has ended."""
        process, self._process = self._process, None
        if process is None or process.poll() is not None:
            return
        _command("deploy", "down", self.name)
        process.wait()

    def is_healthy(self) -> bool:
        """Whether it can be called now."""
        deployments = _json("deploy", "status")["deployments"]
        return any(found["name"] == self.name and found["healthy"] for found in deployments)

    @property
    def status(self) -> str:
        """Such as ``running``. Raises IronCageError ``not_found`` when it has ended."""
        return str(_json("deploy", "status", self.name)["deployments"][0]["state"])

    def get_logs(self) -> str:
        """Its events and output until now."""
        return _command("deploy", "logs", self.name)

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()


class DeploymentFactory:
    """Deploys agents."""

    @staticmethod
    def create(
        script: str | Path, strategy: str = "auto", *, budget: float | None = None, name: str | None = None
    ) -> Runner:
        """Deploys the agent and returns when it can be called.

        ``budget``: its hard limit in US dollars (default: that of the configuration). ``name``: (default: the script's).
        Raises IronCageError ``script_not_found``, ``bad_request`` when the strategy is not possible here or
        ``deployment_failed`` when the agent ends at once.
        """
        if not Path(script).is_file():
            raise IronCageError(f"{script} is not a file", code="script_not_found")
        words = [str(script), "--strategy", strategy, "--port", "0"]
        words += [] if budget is None else ["--budget", str(budget)]
        words += [] if name is None else ["--name", name]
        planned = _json("deploy", "plan", *words)
        runner = Runner(planned["name"], ["deploy", "up", *words])
        runner.start()
        return runner


def _json(*words: str) -> Any:
    return json.loads(_command(*words, "--json"))


def _command(*words: str, stdin: str = "") -> str:
    """The command's output. Raises IronCageError with the code of its error."""
    done = subprocess.run(
        [*find_program(), *words], input=stdin, capture_output=True, text=True, encoding="utf-8", check=False
    )
    if done.returncode == 0:
        return done.stdout
    first, *more = done.stderr.strip().splitlines() or [f"it ended with exit code {done.returncode}"]
    hint = next((line.strip()[len("hint: ") :] for line in more if line.strip().startswith("hint: ")), None)
    raise IronCageError(first.removeprefix("iron-cage: "), code=_CODES.get(done.returncode, "internal"), hint=hint)


#: Error codes by exit code, for the errors of these commands.
_CODES = {2: "bad_request", 5: "not_found", 7: "deployment_unreachable", 9: "deployment_failed"}


def _drain(stream: IO[str]) -> None:
    for _ in stream:
        pass
