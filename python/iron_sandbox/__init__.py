"""Walls of the Linux kernel around a program: files, network, processes, limits. No root, no daemon, no compiler.

    import iron_sandbox

    done = iron_sandbox.run(["python", "untrusted.py"], write=["./out"], connect=["127.0.0.1:8080"])
    done.returncode, done.denied       # [{"action": "connect", "target": "api.openai.com:443", …}]

    @iron_sandbox.confined(read=["./data"])
    def count(name): ...               # runs in a process of its own; arguments and result are plain data

Levels: ``observe`` stops nothing and reports; ``standard`` restricts files and processes, and the network where ``connect``
is given; ``strict`` has an empty network but for ``connect``, own process ids and a file system of the listed paths only.
A wall that cannot be built is an error, never a silent step down. ``explain()`` says what this machine can do.
"""

__version__ = "0.1.0"
__all__ = ["PolicyError", "SandboxError", "confined", "explain", "run"]


class PolicyError(ValueError):
    """A cage that is described wrongly; the message says what was expected."""


class SandboxError(Exception):
    """A confined function failed, or could not be started; ``kind`` is the name of its exception, or ``exit``."""

    def __init__(self, kind, message):
        super().__init__("%s: %s" % (kind, message))
        self.kind = kind


def run(command, **options):
    """Runs a program behind walls until it ends, and returns a ``subprocess.CompletedProcess`` with lists ``denied`` and
    ``planted``.

    ``command``: program and arguments. ``level`` (default ``strict``), ``read``, ``write``, ``hide`` (paths), ``connect``
    ("host:port"; default None: strict connects nowhere, standard is observed), ``allow`` (``unix``, ``udp``, ``listen``),
    ``limits`` (``memory_mb``, ``processes``, ``cpu_s``, ``open_files``, ``file_mb``). ``cwd``, ``env``, ``input``,
    ``capture_output``, ``text``, ``timeout`` (seconds) and ``check`` are those of ``subprocess.run``.

    ``denied``: dicts of ``action`` (connect, read, write), ``target``, ``refused``, ``count``. ``planted``: files that other
    programs would have run (git's hooks, tasks of editors, or what is in ``hide``), as (path, where it is now). Exit code 126: a wall could
    not be built (stderr says which); 127: there is no such program. Raises PolicyError, subprocess.TimeoutExpired,
    subprocess.CalledProcessError.
    """
    from ._run import run as _run

    return _run(command, **options)


def confined(**options):
    """A decorator: each call of the function runs in a process of its own behind walls. Options as of ``run``, but for
    those of ``subprocess``.

    Arguments are inherited, the result comes back as JSON. The function knows what this process has in memory, and none of
    its open files. Raises SandboxError when it raises, or ends without a result.
    """
    from ._run import confined as _confined

    return _confined(**options)


def explain():
    """What this machine can do: a dict of ``kernel``, ``machine``, ``landlock_abi``, ``levels`` (None, or why not), ``hide``
    (the same for files below a writable folder), ``groups`` (of cpu, memory and pids those that are limited for all
    processes of a program together), ``fix`` and ``gaps`` (what stays open at standard).
    """
    from ._explain import explain as _explain

    return _explain()
