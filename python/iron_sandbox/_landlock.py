"""Landlock limits the files and TCP ports of a process and all its descendants, without privileges and irrevocably.

ABI versions: 1 adds files (Linux 5.13), 2 moving files between folders, 3 truncating, 4 TCP ports (6.7), 5 ioctl of devices,
6 signals and abstract unix sockets to processes outside (6.12). Landlock does not cover chmod, chown, stat and unix sockets
with a path.
"""

import os
import struct

from ._kernel import (
    NR_LANDLOCK_ADD_RULE,
    NR_LANDLOCK_CREATE_RULESET,
    NR_LANDLOCK_RESTRICT_SELF,
    SUPPORTED,
    WallError,
    buffer,
    syscall,
)

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE, _IOCTL_DEV = 1 << 14, 1 << 15
_READ = _EXECUTE | _READ_FILE | _READ_DIR
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL_DEV
# Number of file rights, by ABI version.
_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_ALL_RIGHTS = 16
_BIND_TCP, _CONNECT_TCP = 1, 2
_SCOPE_ABSTRACT_UNIX, _SCOPE_SIGNAL = 1, 2
_RULE_PATH, _RULE_PORT = 1, 2


def abi():
    """Returns the ABI version of this kernel; 0 if Landlock is missing or disabled."""
    if not SUPPORTED:
        return 0
    try:
        return syscall("Landlock", NR_LANDLOCK_CREATE_RULESET, None, 0, 1)
    except WallError:
        return 0


def restrict(read, write, deny_connect, deny_bind):
    """Restricts this process permanently. ``read``, ``write``: paths; those that do not exist are skipped.

    ``deny_connect``, ``deny_bind``: deny connecting to, or binding, any TCP port (from ABI 4 on). Raises WallError.
    """
    version = abi()
    if version < 1:
        raise WallError("Landlock", 38, "this kernel has none")
    rights = (1 << _RIGHTS.get(version, _ALL_RIGHTS)) - 1
    ports = (_CONNECT_TCP if deny_connect else 0) | (_BIND_TCP if deny_bind else 0) if version >= 4 else 0
    scopes = _SCOPE_ABSTRACT_UNIX | _SCOPE_SIGNAL if version >= 6 else 0
    known = struct.pack("QQQ", rights, ports, scopes)[: 8 if version < 4 else 16 if version < 6 else 24]
    ruleset = syscall("Landlock", NR_LANDLOCK_CREATE_RULESET, buffer(known), len(known), 0)
    try:
        for path in read:
            _allow(ruleset, path, _READ & rights)
        for path in write:
            _allow(ruleset, path, rights)
        syscall("Landlock", NR_LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset, path, rights):
    try:
        file = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        # 0o040000 is a folder.
        if os.fstat(file).st_mode & 0o170000 != 0o040000:
            rights &= _OF_FILES
        rule = buffer(struct.pack("=Qi", rights, file))
        syscall("Landlock", NR_LANDLOCK_ADD_RULE, ruleset, _RULE_PATH, rule, 0)
    finally:
        os.close(file)
