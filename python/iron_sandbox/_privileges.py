"""Privileges: none can be gained (no_new_privs), and what a process of root has beyond files is taken away for good."""

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
# chown, dac_override, fowner, fsetid, kill, setgid, setuid, net_bind_service: what a program in a container of root is used
# to. Landlock and seccomp hold for them as well.
_FOR_ROOT = (0, 1, 3, 4, 5, 6, 7, 10)
_VERSION_3 = 0x20080522


def forbid_new():
    """No program that is started from here on gains a privilege by being setuid. Needed by the walls without privilege."""
    prctl("no_new_privs", PR_SET_NO_NEW_PRIVS, 1)


def drop(keep_for_root):
    """Takes capabilities away from this process and all it starts. ``keep_for_root``: but for those about files."""
    kept = _FOR_ROOT if keep_for_root else ()
    for capability in range(_LAST_CAPABILITY + 1):
        if capability not in kept:
            try:
                prctl("capabilities", PR_CAPBSET_DROP, capability)
            except WallError:
                break  # Not one of this kernel's, or there is no privilege that could be taken away.
    prctl("capabilities", PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    mask = sum(1 << capability for capability in kept)
    _set(mask)


def _set(mask):
    header = buffer(struct.pack("=Ii", _VERSION_3, 0))
    held = buffer(bytes(24))
    # capget is the number before capset. What is not there cannot be kept.
    syscall("capabilities", NR_CAPSET - 1, header, held)
    low = struct.unpack("=6I", held.raw)
    permitted = (low[1] | low[4] << 32) & mask
    words = (permitted & 0xFFFFFFFF, permitted & 0xFFFFFFFF, 0, permitted >> 32, permitted >> 32, 0)
    syscall("capabilities", NR_CAPSET, header, buffer(struct.pack("=6I", *words)))
