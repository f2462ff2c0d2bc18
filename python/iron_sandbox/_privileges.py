"""Privileges: none can be gained (no_new_privs), and capabilities are dropped for good. Root may keep those in ``_FOR_ROOT``."""

import struct

from ._kernel import (
    NR_CAPSET,
    PR_CAP_AMBIENT,
    PR_CAP_AMBIENT_CLEAR_ALL,
    PR_CAPBSET_DROP,
    PR_SET_NO_NEW_PRIVS,
    WallError,
    buffer,
    prctl,
    syscall,
)

_LAST_CAPABILITY = 63
# chown, dac_override, fowner, fsetid, kill, setgid, setuid, net_bind_service: as a program run as root in a container
# expects. Landlock and seccomp restrict a process with these as well.
_FOR_ROOT = (0, 1, 3, 4, 5, 6, 7, 10)
_VERSION_3 = 0x20080522


def forbid_new():
    """Prevents programs started from now on from gaining privileges by setuid. Unprivileged Landlock and seccomp need this."""
    prctl("no_new_privs", PR_SET_NO_NEW_PRIVS, 1)


def drop(keep_for_root):
    """Drops the capabilities of this process and all it starts. ``keep_for_root``: except those in ``_FOR_ROOT``."""
    kept = _FOR_ROOT if keep_for_root else ()
    for capability in range(_LAST_CAPABILITY + 1):
        if capability not in kept:
            try:
                prctl("capabilities", PR_CAPBSET_DROP, capability)
            except WallError:
                break  # The kernel has no such capability, or the process has no privileges to drop.
    prctl("capabilities", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    mask = sum(1 << capability for capability in kept)
    _set(mask)


def drop_of_thread():
    """Drops all capabilities of the calling thread, for as long as it runs."""
    _set(0)


def _set(mask):
    header = buffer(struct.pack("=Ii", _VERSION_3, 0))
    held = buffer(bytes(24))
    # The number of capget is the one before capset. Only capabilities that the process has can be kept.
    syscall("capabilities", NR_CAPSET - 1, header, held)
    low = struct.unpack("=6I", held.raw)
    permitted = (low[1] | low[4] << 32) & mask
    words = (permitted & 0xFFFFFFFF, permitted & 0xFFFFFFFF, 0, permitted >> 32, permitted >> 32, 0)
    syscall("capabilities", NR_CAPSET, header, buffer(struct.pack("=6I", *words)))
