"""Kernel features that Python's standard library lacks: system calls by number, and shared constants.

This module, like every module that a launch needs, imports only what loads in a few milliseconds.
"""

import ctypes
import errno
import os

MACHINE = os.uname().machine
SUPPORTED = os.uname().sysname == "Linux" and MACHINE in ("x86_64", "aarch64")
NOT_SUPPORTED = "needs Linux on x86-64 or aarch64"
_IS_X86 = MACHINE == "x86_64"

# Numbers below 424 differ between the two architectures; later ones are the same everywhere.
NR_SECCOMP = 317 if _IS_X86 else 277
NR_PIVOT_ROOT = 155 if _IS_X86 else 41
NR_CAPSET = 126 if _IS_X86 else 91
NR_OPEN_TREE = 428
NR_MOVE_MOUNT = 429
NR_PIDFD_OPEN = 434
NR_CLOSE_RANGE = 436
NR_OPENAT2 = 437
NR_PIDFD_GETFD = 438
NR_MOUNT_SETATTR = 442
NR_LANDLOCK_CREATE_RULESET = 444
NR_LANDLOCK_ADD_RULE = 445
NR_LANDLOCK_RESTRICT_SELF = 446

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

PR_SET_PDEATHSIG = 1
PR_CAPBSET_DROP = 24
PR_SET_SECUREBITS = 28
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

_libc = ctypes.CDLL(None, use_errno=True)
if SUPPORTED:
    # Arguments, including pointers, have the machine's word size.
    _libc.syscall.argtypes = [ctypes.c_long] * 7
    _libc.syscall.restype = ctypes.c_long
    _libc.prctl.argtypes = [ctypes.c_int] + [ctypes.c_ulong] * 4


class WallError(OSError):
    """A requested wall (a restriction) cannot be built on this machine.

    ``wall`` is its name; ``errno`` and ``strerror`` are the system's.
    """

    def __init__(self, wall, errno, strerror=None):
        super().__init__(errno, strerror or os.strerror(errno))
        self.wall = wall

    def __str__(self):
        return "%s: %s" % (self.wall, self.strerror)


def require_support():
    """Raises WallError on other systems, where calls by these numbers would be other ones."""
    if not SUPPORTED:
        raise WallError("sandbox", errno.ENOSYS, NOT_SUPPORTED)


def syscall(wall, number, *args):
    """Returns the result of system call ``number``. Raises WallError naming ``wall``."""
    numbers = [arg if isinstance(arg, int) else address(arg) for arg in args]
    return _checked(wall, _libc.syscall(number, *numbers, *[0] * (6 - len(numbers))))


def prctl(wall, option, *args):
    """Returns the result of prctl. Raises WallError naming ``wall``."""
    return _checked(wall, _libc.prctl(option, *args, *[0] * (4 - len(args))))


def unshare(flags):
    """Moves this process (for process ids: its children) into new namespaces. Raises WallError."""
    _checked("namespaces", _libc.unshare(ctypes.c_int(flags)))


def mount(source, target, kind, flags, data=None):
    """Calls ``mount(2)`` with strings or None. Raises WallError."""
    encoded = [None if text is None else os.fsencode(text) for text in (source, target, kind, data)]
    result = _libc.mount(encoded[0], encoded[1], encoded[2], ctypes.c_ulong(flags), encoded[3])
    return _checked("mount of %s" % target, result)


def unmount(target, flags):
    """Calls ``umount2(2)``. Raises WallError."""
    _checked("unmount of %s" % target, _libc.umount2(os.fsencode(target), ctypes.c_int(flags)))


def buffer(content):
    """Returns bytes at a fixed address, for a pointer argument. Keep the object until the call has returned."""
    return ctypes.create_string_buffer(content, len(content))


def address(held):
    """Returns the address of a ``buffer``; 0 for None."""
    return 0 if held is None else ctypes.addressof(held)


def _checked(wall, result):
    if result < 0:
        raise WallError(wall, ctypes.get_errno())
    return result
