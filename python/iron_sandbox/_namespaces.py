"""Namespaces give a process and its descendants a process list, an empty network and mounts of their own."""

import fcntl
import os
import struct

from ._kernel import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    WallError,
    unshare,
)

ALL = CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWCGROUP
MOUNTS = CLONE_NEWNS
_SIOCSIFFLAGS, _IFF_UP_RUNNING = 0x8914, 0x1 | 0x40


def enter(kinds):
    """Moves this process (for process ids: its children) into new namespaces and keeps its user id. Raises WallError.

    Returns True if they belong to a user namespace, where this process has every privilege over them and none elsewhere;
    False for root on a machine that allows no user namespace, where root needs none.
    """
    user, group = os.geteuid(), os.getegid()
    try:
        unshare(CLONE_NEWUSER | kinds)
    except WallError:
        if user != 0:
            raise
        unshare(kinds)
        return False
    try:
        _write("setgroups", "deny")
        _write("uid_map", "%d %d 1" % (user, user))
        _write("gid_map", "%d %d 1" % (group, group))
    except OSError as error:
        raise WallError("user namespace", error.errno) from None
    return True


def raise_loopback():
    """Brings up the loopback interface of an empty network."""
    import _socket

    own = _socket.socket(_socket.AF_INET, _socket.SOCK_DGRAM)
    try:
        fcntl.ioctl(own.fileno(), _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", _IFF_UP_RUNNING))
    finally:
        own.close()


def _write(name, text):
    with open("/proc/self/" + name, "w") as file:
        file.write(text)
