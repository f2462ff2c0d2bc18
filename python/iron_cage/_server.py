"""A server of our own: found, started, asked for a run, stopped. Or one that has the same database, joined."""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time

from ._errors import IronCageError, ServerUnreachable
from ._link import Link
from ._program import find_program

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ._wanted import WantedServer

#: How long a server may take to stop before it is killed, in seconds. It ends running calls first.
_STOP_S = 15.0
#: The exit code of a server whose configuration is not valid.
_BAD_CONFIG = 2
_CONFIG_FILES = ("iron-cage.yaml", "iron-cage.yml", "iron-cage.toml")


#: Servers of this process, by their settings: runtimes in several threads share one.
_started: dict[tuple[object, ...], Server] = {}
_starting = threading.Lock()


class Server:
    """One server process; the last ``release`` stops it when it is ours."""

    def __init__(self, url: str, admin_token: str, process: subprocess.Popen[bytes] | None, folder: str | None) -> None:
        self.url = url
        self._admin_token = admin_token
        self._process = process
        self._folder = folder
        self._pid = os.getpid()
        self._users = 1

    @classmethod
    def join_or_start(cls, wanted: WantedServer) -> Server:
        """Raises ServerUnreachable, and ValueError for a configuration that the server does not take."""
        with _starting:
            shared = _started.get(wanted.key)
            if shared is not None and shared.share():
                return shared
            if wanted.db is not None:
                running = _server_file(wanted.db)
                if running is not None and _answers(running):
                    return cls(running["url"], running["token"], None, None)
            server = cls.start(wanted)
            _started[wanted.key] = server
            return server

    @classmethod
    def start(cls, wanted: WantedServer, shows_events: bool = False) -> Server:
        """shows_events: on stderr, as ``iron-cage start`` does on stdout. Raises ServerUnreachable."""
        is_temporary = wanted.db is None or (wanted.config is not None and wanted.config.content is not None)
        folder = tempfile.mkdtemp(prefix="iron-cage-") if is_temporary else None
        try:
            return cls._start(wanted, folder, shows_events)
        except BaseException:
            if folder:
                shutil.rmtree(folder, ignore_errors=True)
            raise

    @classmethod
    def _start(cls, wanted: WantedServer, folder: str | None, shows_events: bool) -> Server:
        db = wanted.db or os.path.join(str(folder), "iron_state.db")
        command = [*find_program(), "serve", "--port", "0", "--db", db, "--until-stdin-ends"]
        environment = _environment_of(wanted, folder)
        # Without a configuration file, nothing is left in the user's folder: the log is by the database.
        has_config = wanted.config.path if wanted.config else os.environ.get("IRON_CAGE_CONFIG") or _has_file()
        output = tempfile.TemporaryFile()
        try:
            process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=sys.stderr.fileno() if shows_events else subprocess.DEVNULL,
                stderr=output,
                env=environment,
                cwd=None if has_config else folder,
                start_new_session=True,  # Ctrl-C is for the program, which stops the server when it has ended
            )
        except OSError as error:
            raise _cannot_start(f"{command[0]}: {error.strerror}") from error
        server = cls("", "", process, folder)
        atexit.register(server.stop)
        try:
            deadline = time.monotonic() + wanted.start_timeout_s
            while True:
                running = _server_file(db)
                if running is not None and running["url"]:
                    server.listens(running["url"].replace("//localhost:", "//127.0.0.1:"), running["token"])
                    return server
                if process.poll() is not None:
                    output.seek(0)
                    said = output.read().decode(errors="replace").strip()
                    if process.returncode == _BAD_CONFIG and wanted.config is not None:
                        raise ValueError(said)
                    raise _cannot_start(said or f"it ended with {process.returncode}")
                if time.monotonic() > deadline:
                    raise _cannot_start(f"it was not ready within {wanted.start_timeout_s:g} s")
                time.sleep(0.01)
        except BaseException:
            server.stop()
            raise
        finally:
            output.close()

    @property
    def admin(self) -> Link:
        return Link(self.url, self._admin_token)

    def add_agent(self, name: str, budget_usd: str | None) -> Link:
        """An agent without a process. ``budget_usd``: None for the configured limit.

        Raises IronCageError, ServerUnreachable.
        """
        asked = {"name": name[:80]} if budget_usd is None else {"name": name[:80], "budget_usd": budget_usd}
        created = self.admin.ask("POST", "/api/tokens", asked)
        return self.admin.with_token(created["token"], created["agent_id"])

    def release(self) -> None:
        """Stops the server when it is ours and unused in this process."""
        with _starting:
            self._users -= 1
            if self._users > 0:
                return
            for key in [key for key, server in _started.items() if server is self]:
                del _started[key]
        self.stop()

    def share(self) -> bool:
        """Counts another user; False when it does not run any more."""
        is_running = os.getpid() == self._pid and self._process is not None and self._process.poll() is None
        self._users += is_running
        return is_running

    def listens(self, url: str, admin_token: str) -> None:
        """Its message when it has started."""
        self.url, self._admin_token = url, admin_token

    def stop(self) -> None:
        """Nothing in a forked child: the server is its parent's."""
        process, self._process = self._process, None
        if process is None or os.getpid() != self._pid:
            return
        atexit.unregister(self.stop)
        if process.stdin is not None:
            process.stdin.close()  # the server ends then, even behind a launcher
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            _kill(process)
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)


def _environment_of(wanted: WantedServer, folder: str | None) -> dict[str, str]:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("IRON_CAGE_URL", "IRON_CAGE_TOKEN")
    }
    if wanted.safety_mode is not None:
        environment["IRON_CAGE_SAFETY_MODE"] = wanted.safety_mode
    if wanted.budget_usd is not None:
        environment["IRON_CAGE_SERVER_BUDGET"] = wanted.budget_usd
    if wanted.config is None:
        return environment
    path = wanted.config.path
    if wanted.config.content is not None:
        path = os.path.join(str(folder), "iron-cage.yaml")  # JSON is YAML
        with open(path, "w", encoding="utf-8") as file:
            file.write(wanted.config.content)
    return {**environment, "IRON_CAGE_CONFIG": str(path)}


def _has_file() -> bool:
    return any(map(os.path.exists, _CONFIG_FILES))


def _server_file(db: str) -> dict[str, str] | None:
    try:
        with open(f"{db}.server", encoding="utf-8") as file:
            content = json.load(file)
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) and {"url", "token"} <= content.keys() else None


def _answers(running: dict[str, str]) -> bool:
    """A server that was killed leaves its file behind."""
    try:
        Link(running["url"], running["token"]).ask("GET", "/api/version")
    except (IronCageError, ValueError):
        return False
    return True


def _kill(process: subprocess.Popen[bytes]) -> None:
    import signal

    if sys.platform != "win32":
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.wait()


def _cannot_start(why: str) -> ServerUnreachable:
    return ServerUnreachable(
        f"no Iron Cage server could be started: {why}",
        code="server_unreachable",
        hint='install it with "npm install -g iron-cage", set IRON_CAGE_BIN to its program, '
        "or IRON_CAGE_URL and IRON_CAGE_TOKEN to a server that runs",
    )
