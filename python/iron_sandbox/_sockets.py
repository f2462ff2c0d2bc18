"""Calls that the broker executes itself, on a duplicate of the process's own socket: neither the socket nor the address can be
exchanged after the check.
"""

import _socket
import errno
import os
import struct

from . import _calls, _privileges, _seccomp
from ._kernel import NR_OPENAT2, buffer, syscall

_AF_UNIX = 1
_UNIX, _UNSPECIFIED = struct.pack("=H", _AF_UNIX), struct.pack("=H", 0)
_SO_NETNS_COOKIE = 71
_MAX_BACKLOG = 4096
# Of openat2: the path is resolved in the root of the process, without the links in /proc.
_IN_ROOT, _NO_MAGIC_LINKS = 0x10, 0x02


def perform(call, descriptor, act, *args):
    """Runs ``act(own, call, *args)`` with a duplicate of a socket of the process, and answers the call with the outcome."""
    try:
        own = call.duplicate(descriptor)
        try:
            act(own, call, *args)
        finally:
            own.close()
        call.succeed()
    except _calls.Gone:
        call.refuse(errno.EACCES)
    except OSError as error:
        call.refuse(error.errno or errno.EACCES)


def connect_unix(own, call, content, has_own_network):
    """Connects a Unix socket, and refuses every other one. ``content``: its AF_UNIX or AF_UNSPEC address.

    ``has_own_network``: abstract names belong to the program itself; elsewhere they are refused. Takes as long as the server
    takes to accept, and leaves the thread without privileges. Raises OSError and Gone.
    """
    path = content[len(_UNIX) :].partition(b"\0")[0]
    if own.family != _AF_UNIX or not (path or has_own_network or content.startswith(_UNSPECIFIED)):
        raise OSError(errno.EACCES, "not a Unix socket, or another program's name")
    if content.startswith(_UNIX) and path:
        return _connect_path(own, call, path)
    _connect(own, content)


def _connect_path(own, call, path):
    """Looks the path up as the process does: in its root, and without privileges."""
    path = os.fsencode(call.absolute(os.fsdecode(path))) + b"\0"
    root = os.open("/proc/%d/root" % call.pid, os.O_PATH | os.O_CLOEXEC)
    try:
        _privileges.drop_of_thread()
        how = struct.pack("=3Q", os.O_PATH | os.O_CLOEXEC, 0, _IN_ROOT | _NO_MAGIC_LINKS)
        found = syscall("path", NR_OPENAT2, root, buffer(path), buffer(how), len(how))
    finally:
        os.close(root)
    try:
        _connect(own, b"%b/proc/self/fd/%d\0" % (_UNIX, found))
    finally:
        os.close(found)


def _connect(own, content):
    syscall("connect", _seccomp.CONNECT, own.fileno(), buffer(content), len(content))


def listen_inside(own, call):
    """Lets a socket listen, unless it belongs to the network of this process, as those do that the broker hands over. Raises
    OSError, always so before Linux 5.14.
    """
    ours = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
    try:
        if _network(own) == _network(ours):
            raise OSError(errno.EACCES, "a socket of the outer network")
    finally:
        ours.close()
    own.listen(min(call.args[1] & 0xFFFFFFFF, _MAX_BACKLOG))


def _network(own):
    return own.getsockopt(_socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
