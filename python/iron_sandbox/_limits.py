"""Limits of one process (``setrlimit``). Raising them again takes a privilege that the sandbox removes."""

import os
import resource

NAMES = ("memory_mb", "processes", "cpu_s", "open_files", "file_mb")
# Memory that Node reserves for code and does not use, plus its thread stacks.
_RESERVED_MB = 640


def apply(limits, own_count):
    """Sets the given limits, by NAMES except memory_mb, and disables core dumps.

    processes: processes and threads. The kernel counts all those of the user, so the running ones are added, unless
    ``own_count``: a user namespace has its own count. cpu_s: CPU time of each process. open_files: of each process. file_mb:
    maximum file size.
    """
    _limit(resource.RLIMIT_CORE, 0)
    if "processes" in limits:
        _limit(resource.RLIMIT_NPROC, limits["processes"] + (0 if own_count else _running()))
    if "cpu_s" in limits:
        _limit(resource.RLIMIT_CPU, limits["cpu_s"])
    if "open_files" in limits:
        _limit(resource.RLIMIT_NOFILE, limits["open_files"])
    if "file_mb" in limits:
        _limit(resource.RLIMIT_FSIZE, limits["file_mb"] << 20)


def apply_memory(limits):
    """Sets memory_mb for each process: private writable memory. Reserved memory counts too, so _RESERVED_MB is added."""
    if "memory_mb" in limits:
        _limit(resource.RLIMIT_DATA, limits["memory_mb"] + _RESERVED_MB << 20)


def _limit(what, wanted):
    _, hard = resource.getrlimit(what)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(what, (most, most))


def _running():
    """Returns the number of threads of this user, the main thread of each process included."""
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.stat("/proc/" + name).st_uid == os.getuid():
                    count += len(os.listdir("/proc/%s/task" % name))
            except OSError:
                pass  # The process has ended meanwhile.
    return count
