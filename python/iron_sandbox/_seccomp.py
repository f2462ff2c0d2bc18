"""The seccomp filter: a BPF program that limits the system calls of a process and all its descendants.

Calls that no agent needs are refused by name; calls newer than this table fail with ENOSYS. Some calls are filtered by
their arguments. ``connect`` (and, for reports, opening files) is decided outside the sandbox, by the process that holds the
notify listener (``_broker.py``).
"""

import errno
import os
import struct

from ._kernel import MACHINE, NR_SECCOMP, address, buffer, syscall

_IS_X86 = MACHINE == "x86_64"
_AUDIT_ARCH = 0xC000003E if _IS_X86 else 0xC00000B7
_X32_BIT = 0x40000000
# file_setattr, added in Linux 6.17.
_NEWEST = 469

# name: number on x86-64, number on aarch64; None where the architecture lacks the call.
_REFUSED = {
    # Other processes' memory and files.
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "pidfd_getfd": (438, 438),
    "kcmp": (312, 272),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    # Mounts and roots, and access to files without a path.
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "chroot": (161, 51),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "listmount": (458, 458),
    "open_tree_attr": (467, 467),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "fanotify_init": (300, 262),
    # Memory, queues and semaphores that programs of one user share by number (System V) or by name (POSIX).
    "shmget": (29, 194),
    "shmat": (30, 196),
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    # Namespaces.
    "unshare": (272, 97),
    "setns": (308, 268),
    # Attack surface: BPF programs in the kernel, io_uring (bypasses this filter), userfaultfd (can delay page faults).
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "personality": (135, 92),
    "modify_ldt": (154, None),
    "lookup_dcookie": (212, 18),
    "vmsplice": (278, 75),
    # Administration of the machine.
    "acct": (163, 89),
    "adjtimex": (159, 171),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "settimeofday": (164, 170),
    "delete_module": (176, 106),
    "finit_module": (313, 273),
    "init_module": (175, 105),
    "create_module": (174, None),
    "get_kernel_syms": (177, None),
    "query_module": (178, None),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "nfsservctl": (180, 42),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "sethostname": (170, 161),
    "setdomainname": (171, 162),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "sysfs": (139, None),
    "syslog": (103, 116),
    "uselib": (134, None),
    "_sysctl": (156, None),
    "ustat": (136, None),
    "vhangup": (153, 58),
}

_LOOKED_AT = {
    "chmod": (90, None),
    "clone": (56, 220),
    "clone3": (435, 435),
    "creat": (85, None),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "ioctl": (16, 29),
    "listen": (50, 201),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "open": (2, None),
    "openat": (257, 56),
    "openat2": (437, 437),
    "prlimit64": (302, 261),
    "sendmmsg": (307, 269),
    "sendmsg": (46, 211),
    "sendto": (44, 206),
    "socket": (41, 198),
    "socketpair": (53, 199),
}
CONNECT = 42 if _IS_X86 else 203
OPEN = 2 if _IS_X86 else None
OPENAT = 257 if _IS_X86 else 56
OPENAT2 = 437
LISTEN = _LOOKED_AT["listen"][0 if _IS_X86 else 1]
# Passed to the notify listener.
NOTIFIED = tuple(number for number in (CONNECT, OPEN, OPENAT, OPENAT2) if number is not None)

_NEW_NAMESPACES = 0x7E020080  # user, pid, net, mount, ipc, uts, cgroup, time
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_SOCK_STREAM, _SOCK_DGRAM, _SOCK_SEQPACKET = 1, 2, 5
_IPPROTO_TCP, _IPPROTO_UDP = 6, 17
_MSG_FASTOPEN = 0x20000000
_SET_USER_OR_GROUP = 0o6000  # S_ISUID, S_ISGID
_CREATES = 0o100 | 0o20000000  # O_CREAT, and O_TMPFILE without the O_DIRECTORY in it

_ALLOW, _KILL, _NOTIFY = 0x7FFF0000, 0x80000000, 0x7FC00000
_SET_MODE_FILTER, _NEW_LISTENER = 1, 1 << 3
# Offsets of a call's number, architecture and arguments in ``struct seccomp_data``.
_NR, _ARCH, _ARGS = 0, 4, 16


def _refuse(code):
    return 0x00050000 | code


def _load(offset):
    return (0x20, 0, 0, offset)


def _argument(index):
    """Loads the lower half of an argument; both architectures are little-endian."""
    return _load(_ARGS + 8 * index)


def _if_equal(value, then, otherwise):
    return (0x15, then, otherwise, value)


def _if_at_least(value, then, otherwise):
    return (0x35, then, otherwise, value)


def _if_any_bit(value, then, otherwise):
    return (0x45, then, otherwise, value)


def _and(value):
    return (0x54, 0, 0, value)


def _return(value):
    return (0x06, 0, 0, value)


def _number(pair):
    return pair[0] if _IS_X86 else pair[1]


def program(confine, udp=False, unix=False, listen=True, notify=()):
    """Returns the filter as bytes. ``confine``: also refuse calls. ``notify``: numbers of calls passed to the listener."""
    foreign = _return(_KILL if confine else _ALLOW)
    lines = [_load(_ARCH), _if_equal(_AUDIT_ARCH, 1, 0), foreign, _load(_NR)]
    if confine:
        # First: refused calls are not passed on.
        for name, block in _mode_blocks().items():
            if (number := _number(_LOOKED_AT[name])) is not None:
                passed = [_return(_NOTIFY if number in notify else _ALLOW)]
                lines += [_if_equal(number, 0, len(block) + 1)] + block + passed
    for number in notify:
        lines += [_if_equal(number, 0, 1), _return(_NOTIFY)]
    if confine:
        lines += [_if_at_least(_NEWEST + 1, 0, 1), _return(_refuse(errno.ENOSYS))]
        for pair in _REFUSED.values():
            if _number(pair) is not None:
                lines += [_if_equal(_number(pair), 0, 1), _return(_refuse(errno.EPERM))]
        for name, block in _blocks(udp, unix, listen).items():
            lines += [_if_equal(_number(_LOOKED_AT[name]), 0, len(block))] + block
    lines.append(_return(_ALLOW))
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def _mode_blocks():
    """Returns the checks of modes by name of the call: a program that runs as its owner for everybody outlives the sandbox."""
    at = {"chmod": 1, "fchmod": 1, "fchmodat": 2, "fchmodat2": 2, "creat": 1, "mknod": 1, "mknodat": 2}
    blocks = {name: _if_mode(argument) for name, argument in at.items()}
    for name, flags in (("open", 1), ("openat", 2)):
        # Without these flags the argument is not a mode.
        check = _if_mode(flags + 1)
        blocks[name] = [_argument(flags), _if_any_bit(_CREATES, 0, len(check))] + check
    # openat2 has its mode in memory, which a filter cannot read; programs fall back to openat.
    blocks["openat2"] = [_return(_refuse(errno.ENOSYS))]
    return blocks


def _if_mode(argument):
    return [_argument(argument), _if_any_bit(_SET_USER_OR_GROUP, 0, 1), _return(_refuse(errno.EPERM))]


def _blocks(udp, unix, listen):
    """Returns the checks of arguments by name of the call; each block ends with a return."""
    # clone3 has its flags in memory, which a filter cannot read; C libraries fall back to clone.
    blocks = {
        "clone3": [_return(_refuse(errno.ENOSYS))],
        "clone": _unless_any_bit(0, _NEW_NAMESPACES),
        # Would inject keystrokes into the terminal that started the sandbox.
        "ioctl": [
            _argument(1),
            _if_equal(_TIOCSTI, 1, 0),
            _if_equal(_TIOCLINUX, 0, 1),
            _return(_refuse(errno.EPERM)),
            _return(_ALLOW),
        ],
        # Refused for other processes.
        "prlimit64": [_argument(0), _if_equal(0, 1, 0), _return(_refuse(errno.EPERM)), _return(_ALLOW)],
        # Sending with MSG_FASTOPEN connects as well.
        "sendto": _unless_any_bit(3, _MSG_FASTOPEN),
        "sendmsg": _unless_any_bit(2, _MSG_FASTOPEN),
        "sendmmsg": _unless_any_bit(3, _MSG_FASTOPEN),
        "socket": _socket_block(udp, unix),
        "socketpair": _pair_block(unix),
    }
    if not listen:
        blocks["listen"] = [_return(_refuse(errno.EPERM))]
    return blocks


def _pair_block(unix):
    """Allows pairs of Unix sockets; without ``unix`` only those that are connected for good: a datagram can be sent to any
    address, and a descriptor with it."""
    block = [_argument(0), _if_equal(_AF_UNIX, 1, 0), _return(_refuse(errno.EAFNOSUPPORT))]
    if not unix:
        kinds = (_SOCK_STREAM, _SOCK_SEQPACKET)
        block += [_argument(1), _and(0xF)] + [_if_equal(kind, len(kinds) - at, 0) for at, kind in enumerate(kinds)]
        block.append(_return(_refuse(errno.EPERM)))
    return block + [_return(_ALLOW)]


def _unless_any_bit(argument, bits):
    return [_argument(argument), _if_any_bit(bits, 0, 1), _return(_refuse(errno.EPERM)), _return(_ALLOW)]


def _socket_block(udp, unix):
    """Allows TCP on IPv4 and IPv6; with ``udp`` also UDP and the netlink list of addresses; with ``unix`` Unix sockets."""
    protocols = (0, _IPPROTO_TCP, _IPPROTO_UDP) if udp else (0, _IPPROTO_TCP)
    kinds = (_SOCK_STREAM, _SOCK_DGRAM) if udp else (_SOCK_STREAM,)
    of_internet = [_argument(1), _and(0xF)]
    of_internet += [_if_equal(kind, len(kinds) - index, 0) for index, kind in enumerate(kinds)]
    of_internet += [_return(_refuse(errno.EPERM)), _argument(2)]
    of_internet += [_if_equal(protocol, len(protocols) - index, 0) for index, protocol in enumerate(protocols)]
    of_internet += [_return(_refuse(errno.EPERM)), _return(_ALLOW)]
    block = [_argument(0)]
    if unix:
        block += [_if_equal(_AF_UNIX, 0, 1), _return(_ALLOW)]
    if udp:
        # Only NETLINK_ROUTE (0): addresses and routes.
        block += [_if_equal(_AF_NETLINK, 0, 4), _argument(2), _if_equal(0, 1, 0), _return(_refuse(errno.EPERM))]
        block += [_return(_ALLOW)]
    block += [_if_equal(_AF_INET, 2, 0), _if_equal(_AF_INET6, 1, 0), _return(_refuse(errno.EAFNOSUPPORT))]
    return block + of_internet


def install(code, listener):
    """Installs a filter permanently on this process; with ``listener`` returns the descriptor that receives notified calls."""
    held = buffer(code)
    head = buffer(struct.pack("HxxxxxxP", len(code) // 8, address(held)))
    answer = syscall("seccomp", NR_SECCOMP, _SET_MODE_FILTER, _NEW_LISTENER if listener else 0, head)
    if listener:
        os.set_inheritable(answer, False)
        return answer
    return None
