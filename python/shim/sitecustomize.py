"""Runs at the start of every Python process of an agent.

``iron-cage start`` puts this folder first on PYTHONPATH, so that Python imports this file before the program. The rules:

- The agent is not affected: another ``sitecustomize`` (Debian's, or a coverage tool's) still runs, this folder is removed
  from ``sys.path``, and a failure of this file is only a warning on stderr.
- The folder with ``iron_cage`` is added at the END of ``sys.path``: an SDK that the user installed takes precedence.
- At startup this file uses only modules that Python has already loaded, and a socket: it runs in every child process too.
- SIGUSR1 announces rotated secrets, to the agent's first process only, and only after that process has reported to the
  server that it listens: the signal kills any process without a handler. A program that uses SIGUSR1 itself, at startup
  or later, keeps its handler; then nothing is acknowledged, and the server requires a restart.

Children inherit PYTHONPATH, and the secrets as of their start. ``python -I``, ``-E``, ``-S`` and a cleaned environment skip
this file, so the gateway enforces the rules, not this file.
"""

import os
import sys


def _warn(what, error):
    if sys.stderr is not None:
        sys.stderr.write("iron_cage: %s: %s: %s; the program goes on\n" % (what, type(error).__name__, error))


def _offer_sdk(shim):
    sdk = os.path.dirname(shim)
    if sdk not in sys.path:
        sys.path.append(sdk)


def _run_next_sitecustomize(shim):
    ours = sys.modules.pop("sitecustomize")
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry) != shim]
    try:
        import sitecustomize  # noqa: F401  (the next one on the path; it takes the name from here on)
    except BaseException as error:
        # Python's import of this module raises KeyError if its name is missing from sys.modules.
        sys.modules["sitecustomize"] = ours
        if isinstance(error, ImportError) and error.name == "sitecustomize":
            return
        if not isinstance(error, Exception):
            raise
        _warn("the sitecustomize of this Python failed", error)


def _follow_secrets():
    """Installs a SIGUSR1 handler that updates os.environ with rotated secrets and acknowledges them to the server."""
    # The pid of the agent's first process, set by the gate or the sandbox; a child has another pid.
    if os.environ.get("IRON_SANDBOX_PID", os.environ.get("IRON_CAGE_PID")) != str(os.getpid()):
        return
    # Not `signal`, which imports `enum`: these built-in modules are already loaded.
    import _signal
    import _thread

    if _signal.getsignal(_signal.SIGUSR1) not in (_signal.SIG_DFL, _signal.SIG_IGN):
        return
    server, token = os.environ["IRON_CAGE_URL"], os.environ["IRON_CAGE_TOKEN"]
    # Values as delivered: a variable that the program changed is overwritten only when its secret is rotated.
    handed = dict(os.environ)
    one_at_a_time = _thread.allocate_lock()

    def take_over():
        try:
            with one_at_a_time:
                import json

                answer = json.loads(_ask(server, token, "GET", "/api/run/secrets"))
                for name, value in answer["secrets"].items():
                    if handed.get(name) != value:
                        os.environ[name] = handed[name] = value
                _ask(server, token, "POST", "/api/run/secrets/ack", _report(answer["revision"]))
        except Exception as error:
            _warn("rotated secrets could not be taken over", error)

    def on_signal(_number, _frame):
        # In a thread, since a signal handler blocks the program.
        try:
            _thread.start_new_thread(take_over, ())
        except Exception as error:
            _warn("rotated secrets could not be taken over", error)

    _signal.signal(_signal.SIGUSR1, on_signal)
    try:
        # Waits for the response: the server looks up the process at the other end, and this one may exec another program.
        _ask(server, token, "POST", "/api/run/secrets/ack", _report(None))
    except OSError:
        pass  # A server that has exited sends no signals.


def _report(revision):
    # In a sandbox, the server knows the guard of this process, not the process itself.
    pid = os.environ.get("IRON_SANDBOX_GUARD", os.getpid())
    return '{"pid":%d,"revision":%s}' % (int(pid), "null" if revision is None else revision)


def _trust_proxies():
    """Lets aiohttp use the proxy of its variables, as other clients do by themselves, where that is the server."""
    proxy = os.environ.get("https_proxy", "").rpartition("@")[2]
    if not proxy or proxy != os.environ.get("IRON_CAGE_URL", "").rpartition("//")[2]:
        return

    class OnImport:
        """The first finder of modules. It leaves when that of the client is imported."""

        def find_spec(self, name, path=None, target=None):
            if name != "aiohttp.client":
                return None
            sys.meta_path.remove(self)
            from importlib.util import find_spec

            spec = find_spec(name)
            execute = spec.loader.exec_module

            def exec_module(module):
                execute(module)
                try:
                    # A program that says trust_env=False is believed.
                    module.ClientSession.__init__.__kwdefaults__["trust_env"] = True
                except Exception as error:
                    _warn("aiohttp does not use the proxy", error)

            spec.loader.exec_module = exec_module
            return spec

    sys.meta_path.insert(0, OnImport())


# Plain HTTP to the same machine. Python's own client takes longer to import than an agent takes to start.


def _ask(server, token, method, path, body=""):
    from _socket import socket

    host, _, port = server.rpartition("/")[2].rpartition(":")
    head = "%s %s HTTP/1.0\r\nHost: %s:%s\r\nAuthorization: Bearer %s\r\n" % (method, path, host, port, token)
    content = "Content-Type: application/json\r\nContent-Length: %d\r\n" % len(body) if body else ""
    connection = socket()
    try:
        connection.settimeout(5)
        connection.connect((host, int(port)))
        connection.sendall((head + content + "\r\n" + body).encode())
        answer = b""
        while True:
            piece = connection.recv(65536)
            if not piece:
                break
            answer += piece
    finally:
        connection.close()
    head, _, content = answer.partition(b"\r\n\r\n")
    status = head[9:12].decode()
    if not status.startswith("2"):
        raise OSError("the server answered %s" % (status or "nothing"))
    return content.decode()


try:
    _shim = os.path.dirname(os.path.abspath(__file__))
    _offer_sdk(_shim)
    _run_next_sitecustomize(_shim)
    _trust_proxies()
    _follow_secrets()
except Exception as _error:
    _warn("the agent's Python was not prepared", _error)
