"""``Runtime``: a program that starts agents, as ``iron-cage start`` does in a terminal."""

from __future__ import annotations

import os
import sys
import threading
import time

from ._cage import is_supervised
from ._errors import IronCageError
from ._runtime import START_TIMEOUT_S, limit_of, safety_mode
from ._wanted import WantedServer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from typing_extensions import Self

    from ._link import Link
    from ._runtime import Money, PiiDetection
    from ._server import Server

_POLL_S = 0.1
_LIVE = ("starting", "running", "paused", "stopping")


class Runtime:
    """Starts agents under one hard budget, each in a separate process that the server supervises::

        runtime = Runtime(budget=50)
        agent_id = runtime.start_agent("lead_gen_agent.py")
        runtime.wait(agent_id)
        print(runtime.get_metrics(agent_id)["spent_usd"])

    budget: hard limit in US dollars of all its agents together. (Default: 100.)
    verbose: prints what its agents print, and the event log, on stderr.
    pii_detection: as ``AgentRuntime``.
    db: database file, kept afterwards. (Default: a temporary file, deleted with the runtime.)

    The server starts with the first agent. It stops, and its agents with it, at ``close``, at the end of a ``with`` block,
    or when the program ends. It reads ``iron-cage.yaml`` of the working directory.

    Methods raise ServerUnreachable, and IronCageError when the server refuses a request. Inside an agent that
    ``iron-cage start`` supervises, starting raises IronCageError: agents of an agent are its child processes, under its
    own budget.
    """

    def __init__(
        self,
        budget: Money = 100,
        verbose: bool = False,
        *,
        pii_detection: PiiDetection | None = None,
        db: str | os.PathLike[str] | None = None,
    ) -> None:
        self._limit = limit_of(budget)
        self._verbose = verbose
        file = None if db is None else os.path.abspath(os.fspath(db))
        self._wanted = WantedServer(file, safety_mode(pii_detection), None, START_TIMEOUT_S, self._limit)
        self._server: Server | None = None
        self._lock = threading.Lock()

    def start_agent(self, script_path: str | os.PathLike[str], *arguments: str, name: str | None = None) -> str:
        """Starts a script as an agent and returns its id, such as ``"lg-7a3f9c2d"``. Does not wait for it.

        Python scripts run with this interpreter and environment. arguments: given to the script. name: on the dashboard.
        (Default: the script's.)
        """
        asked: dict[str, Any] = {
            "script": os.path.abspath(os.fspath(script_path)),
            "args": list(arguments),
            "python": sys.executable,
            "cwd": os.getcwd(),
            "budget_usd": self._limit,
            "inherits": {key: value for key, value in os.environ.items() if not key.startswith("IRON_CAGE_")},
        }
        if name is not None:
            asked["name"] = name
        agent_id: str = self._admin().ask("POST", "/api/agents", asked)["agent"]["id"]
        return agent_id

    def stop_agent(self, agent_id: str) -> None:
        """Stops an agent and its child processes: SIGINT, SIGTERM, and SIGKILL at the end of its grace
        period. One that ended stays so."""
        try:
            self._ask("POST", agent_id, "/stop")
        except IronCageError as error:
            if error.code != "agent_not_running":
                raise

    def get_metrics(self, agent_id: str) -> dict[str, Any]:
        """An agent's figures so far: ``state``, ``spent_usd``, ``limit_usd``, ``succeeded``, ``p95_ms``, ``progress`` …

        All of ``Figures`` in the HTTP API's documentation. Amounts are Decimal, in US dollars.
        """
        from decimal import Decimal

        status = self._ask("GET", agent_id, "")
        figures = {
            name: Decimal(value) if name.endswith("_usd") and value is not None else value
            for name, value in status["figures"].items()
        }
        return {"state": status["agent"]["state"], **figures}

    def wait(self, agent_id: str, timeout_s: float | None = None) -> str:
        """Waits until an agent has ended. Returns its state.

        ``"completed"``, ``"failed"``, ``"stopped"``, ``"budget_stopped"``, ``"blocked"`` or ``"crash_loop"``.

        timeout_s: raises TimeoutError after that many seconds. (Default: none.)
        """
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            state: str = self._ask("GET", agent_id, "")["agent"]["state"]
            if state not in _LIVE:
                return state
            if deadline is not None and time.monotonic() > deadline:
                raise TimeoutError(f"{agent_id} is still {state} after {timeout_s:g} s")
            time.sleep(_POLL_S)

    def close(self) -> None:
        """Stops its agents and its server. Another ``start_agent`` starts over."""
        with self._lock:
            server, self._server = self._server, None
        if server is not None:
            server.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _ask(self, method: str, agent_id: str, path: str) -> Any:
        from urllib.parse import quote

        return self._admin().ask(method, f"/api/agents/{quote(agent_id, safe='')}{path}")

    def _admin(self) -> Link:
        with self._lock:
            if self._server is None:
                self._server = self._start()
            return self._server.admin

    def _start(self) -> Server:
        from ._server import Server

        if is_supervised():
            raise IronCageError(
                "this program is an agent itself, and its server starts no others for it",
                code="conflict",
                hint="start the scripts as child processes: they share this agent's budget",
            )
        return Server.start(self._wanted, self._verbose)
