"""Sandbox for a program, enforced by the Linux kernel: files, network, processes, limits. No root, no daemon, no compiler.

    import iron_sandbox

    done = iron_sandbox.run(["python", "untrusted.py"], write=["./out"], connect=["127.0.0.1:8080"])
    done.returncode, done.denied       # [{"action": "connect", "target": "api.openai.com:443", …}]

    @iron_sandbox.confined(read=["./data"])
    def count(name): ...               # runs in its own process; arguments and result are plain data

Levels: ``observe`` blocks nothing and reports; ``standard`` restricts files and processes, and the network if ``connect`` is
given; ``strict`` has a network that is empty except for ``connect``, its own process ids and a file system with only the
listed paths. A restriction that cannot be applied is an error, never a silent downgrade. ``explain()`` returns what this
machine supports.
"""

__version__ = "0.3.0"
__all__ = ["PolicyError", "SandboxError", "confined", "explain", "run"]


class PolicyError(ValueError):
    """An invalid policy; the message states the expected value."""


class SandboxError(Exception):
    """A confined function failed or could not be started; ``kind`` is the name of its exception, or ``exit``."""

    def __init__(self, kind, message):
        super().__init__("%s: %s" % (kind, message))
        self.kind = kind


def run(command, **options):
    """Runs a program in a sandbox until it ends. Returns a ``subprocess.CompletedProcess`` with the lists ``denied`` and
    ``planted``.

    ``command``: program and arguments. ``level`` (default ``strict``), ``read``, ``write``, ``hide`` (paths), ``connect``
    ("host:port"; default None: strict denies all connections, standard only reports them), ``allow`` (``unix``, ``udp``,
    ``listen``), ``limits`` (``memory_mb``, ``processes``, ``cpu_s``, ``open_files``, ``file_mb``). ``cwd``, ``env``, ``input``,
    ``capture_output``, ``text``, ``timeout`` (seconds) and ``check`` are as in ``subprocess.run``.

    ``denied``: dicts of ``action`` (connect, read, write), ``target``, ``refused``, ``count``. ``planted``: files that other
    programs would have run (git hooks, editor tasks, or paths in ``hide``), as (path, current location). Exit code 126: a
    restriction could not be applied (stderr names it); 127: the program was not found. Raises PolicyError,
    subprocess.TimeoutExpired, subprocess.CalledProcessError.
    """
    from ._run import run as _run

    return _run(command, **options)


def confined(**options):
    """Returns a decorator that runs each call of a function in a new sandboxed process. Takes the options of ``run``
    except those of ``subprocess``.

    Arguments are inherited; the result is returned as JSON. The function has a copy of this process's memory, but of its open
    files only stdin, stdout and stderr. A call raises SandboxError when the function raises or ends without a result.
    """
    from ._run import confined as _confined

    return _confined(**options)


def explain():
    """Returns what this machine supports: a dict of ``kernel``, ``machine``, ``landlock_abi``, ``levels`` (None, or the reason
    why one is unavailable), ``hide`` (the same for files below a writable folder), ``groups`` (which of cpu, memory and pids
    can be limited for all processes of a program together), ``fix`` and ``gaps`` (what standard does not block).
    """
    from ._explain import explain as _explain

    return _explain()
