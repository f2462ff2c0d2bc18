"""Limits of one process (``setrlimit``): nobody can raise them again without a privilege that the walls take away."""

import os
import resource

NAMES = ("memory_mb", "processes", "cpu_s", "open_files", "file_mb")
# What Node reserves for code and does not use, with the stacks of its threads.
_RESERVED_MB = 640


def apply(limits, own_count):
    """Sets the limits that are given, by NAMES, and no core dumps.

    processes: processes and threads; the kernel counts all of the user,
    so those that run already are added, unless ``own_count``: a user namespace counts its own. cpu_s: processor time of each
    process. open_files: of each process. file_mb: the largest file.
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
    """Sets memory_mb for each process: private writable memory. It counts what is reserved as well, of which some is granted."""
    if "memory_mb" in limits:
        _limit(resource.RLIMIT_DATA, limits["memory_mb"] + _RESERVED_MB << 20)


def _limit(what, wanted):
    _, hard = resource.getrlimit(what)
    most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(what, (most, most))


def _running():
    """Processes and threads of this user."""
    count = 0
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if os.stat("/proc/" + name).st_uid == os.getuid():
                    count += len(os.listdir("/proc/%s/task" % name))
            except OSError:
                pass  # It has ended meanwhile.
    return count
