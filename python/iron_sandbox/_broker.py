"""Answers the calls of the notify listener (``_calls.py``): decides about connections, and reports opened files.

Observed network: every connection continues and is reported. Limited network: the broker connects only to endpoints that the
policy lists, by name and from outside the sandbox, and replaces the process's socket with the connected one. Other connections
go through the gateway where there is one (``_gateway.py``), which decides. This works from an empty network namespace, and
without one. Connections to the program's own servers in such a namespace use a socket that
init makes there. An unexpected error refuses the call.

With a limited network no connect continues in the kernel, where the address or the socket could be another one by then: the
broker connects Unix sockets itself (``_sockets.py``). At strict it decides about ``listen`` too, which sockets that it handed
over must not do.
"""

import _socket
import _thread
import errno
import os
import select
import struct

from . import _calls, _seccomp, _sockets
from ._channel import SOCKET
from ._names import Conversation, Names

_AF_UNSPEC, _AF_UNIX, _AF_INET, _AF_INET6 = 0, 1, 2, 10
_MAX_ADDRESS = 128
_DOMAIN_PORT = 53
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_MAX_DIALS = 64
# How long a non-blocking connect may block.
_MAX_INNER_MS = 500
_LOOPBACK = ("127.0.0.1", "::1")


class Broker:
    def __init__(self, listener, policy, reports, channel):
        self.listener = listener
        self._channel = channel
        # Calls that wait for a socket of the inner network, oldest first.
        self._inner = []
        self._policy = policy
        self._reports = reports
        self._names = Names()
        self._dials = 0
        self.conversations = {}
        _calls.prepare(listener)

    def answer_next(self):
        """Answers the next waiting call."""
        call = _calls.receive(self.listener)
        if call is None:
            return
        try:
            if call.number == _seccomp.CONNECT:
                self._connect(call)
            elif call.number == _seccomp.LISTEN:
                _sockets.perform(call, call.args[0] & 0xFFFFFFFF, _sockets.listen_inside)
            else:
                self._report_open(call)
        except _calls.Gone:
            # The call cannot be read: refused only where connections are restricted.
            if call.number in (_seccomp.CONNECT, _seccomp.LISTEN) and self._policy.is_limited:
                call.refuse(errno.EACCES)
            else:
                call.go_on()
        except Exception:
            call.refuse(errno.EACCES)
            raise

    def converse(self, descriptor):
        """Serves a DNS connection that is readable, and closes it when it is over."""
        if not self.conversations[descriptor].go_on():
            del self.conversations[descriptor]
            os.close(descriptor)

    def _connect(self, call):
        descriptor, at, length = call.args[0] & 0xFFFFFFFF, call.args[1], call.args[2] & 0xFFFFFFFF
        content = call.read(at, min(length, _MAX_ADDRESS))
        host, port = _parse(content)
        if host is None:
            return self._connect_elsewhere(call, descriptor, content, is_known=port is None)
        if not self._policy.is_limited:
            self._reports.add("connect", show(host, port), False)
            return call.go_on()
        if port == _DOMAIN_PORT:
            return self._open_conversation(call, descriptor)
        name = self._names.name_of(host) or host
        is_listed = self._policy.may_connect(name, port)
        is_inner = not is_listed and self._policy.level == "strict" and _is_loopback(host)
        gateway = None if is_listed or is_inner else self._policy.gateway
        if not is_listed and not is_inner and gateway is None:
            return self._refuse_connect(call, name, port)
        flags = call.descriptor_flags(descriptor)
        if flags is None:
            return call.refuse(errno.ENOTSOCK)
        if gateway is not None:
            return self._dial_apart(call, gateway.dial, (call, descriptor, flags, name, port))
        if is_inner:
            return self._ask_for_socket(call, descriptor, flags, host, port)
        if name in _LOOPBACK and flags & os.O_NONBLOCK:
            return _dial(call, descriptor, flags, name, port)
        self._dial_apart(call, _dial, (call, descriptor, flags, name, port))

    def _connect_elsewhere(self, call, descriptor, content, is_known):
        """Connects by AF_UNSPEC or AF_UNIX. ``is_known``: the address is one of these."""
        if is_known and not self._policy.is_limited:
            return call.go_on()
        if not is_known or "unix" not in self._policy.allow:
            return call.refuse(errno.EACCES)
        args = (call, descriptor, _sockets.connect_unix, content, self._policy.level == "strict")
        self._dial_apart(call, _sockets.perform, args)

    def _refuse_connect(self, call, name, port):
        self._reports.add("connect", show(name, port), True)
        call.refuse(errno.EACCES)

    def _dial_apart(self, call, dial, args):
        if self._dials >= _MAX_DIALS:
            return call.refuse(errno.EAGAIN)
        self._dials += 1
        _thread.start_new_thread(self._dial_in_thread, (dial, args))

    def _dial_in_thread(self, dial, args):
        try:
            dial(*args)
        finally:
            self._dials -= 1

    def _ask_for_socket(self, call, descriptor, flags, host, port):
        if len(self._inner) >= _MAX_DIALS:
            return call.refuse(errno.EAGAIN)
        self._inner.append((call, descriptor, flags, host, port))
        self._channel.send(SOCKET, bytes([_AF_INET6 if ":" in host else _AF_INET]))

    def dial_inside(self, made):
        """Connects the oldest waiting call to a server of the program itself. ``made``: a socket from init; None if it failed."""
        call, descriptor, flags, host, port = self._inner.pop(0)
        if made is None:
            return call.refuse(errno.EHOSTUNREACH)
        own = _socket.socket(_AF_INET6 if ":" in host else _AF_INET, _socket.SOCK_STREAM, 0, made)
        own.setblocking(False)
        fault = own.connect_ex((host, port))
        if fault == errno.EINPROGRESS:
            return self._dial_apart(call, self._await_inner, (call, descriptor, flags, own, host, port))
        self._end_inner(call, descriptor, flags, own, fault, host, port)

    def _await_inner(self, call, descriptor, flags, own, host, port):
        # A non-blocking caller may itself be the one that accepts the connection.
        fault = _outcome(own, _MAX_INNER_MS if flags & os.O_NONBLOCK else None)
        self._end_inner(call, descriptor, flags, own, fault, host, port)

    def _end_inner(self, call, descriptor, flags, own, fault, host, port):
        if fault != errno.ECONNREFUSED:
            return hand_over(call, descriptor, flags, own, fault)
        own.close()
        # Nothing of the program listens there: it may mean a server outside.
        gateway = self._policy.gateway
        if gateway is None:
            return self._refuse_connect(call, host, port)
        self._dial_apart(call, gateway.dial, (call, descriptor, flags, host, port))

    def _open_conversation(self, call, descriptor):
        flags = call.descriptor_flags(descriptor)
        if flags is None:
            return call.refuse(errno.ENOTSOCK)
        ours, theirs = _socket.socketpair(_AF_UNIX, _socket.SOCK_STREAM)
        try:
            _socket.socket.setblocking(theirs, not flags & os.O_NONBLOCK)
            call.replace(descriptor, theirs.fileno(), flags)
        finally:
            theirs.close()
        own = ours.detach()
        os.set_blocking(own, False)
        self.conversations[own] = Conversation(own, self._names)
        call.succeed()

    def _report_open(self, call):
        if call.number == _seccomp.OPEN:
            folder, at, flags = 0xFFFFFF9C, call.args[0], call.args[1]
        else:
            folder, at, flags = call.args[0], call.args[1], call.args[2]
            if call.number == _seccomp.OPENAT2:
                flags = int.from_bytes(call.read(flags, 8), "little")
        writing = bool(flags & _WRITING)
        path = call.path(at, folder)
        theirs = None if writing else self._policy.counterpart(path)
        # The call is blocked until go_on: only checks that must precede it are made here.
        is_missing = theirs is not None and not os.path.lexists(path)
        is_seen = None
        if self._policy.has_own_temporary(path):
            # The program has its own temporary folder, so the path is checked from its root.
            seen = os.path.dirname(path) if writing else path
            is_seen = os.path.lexists("/proc/%d/root%s" % (call.pid, seen))
        call.go_on()
        if is_missing:
            # Missing in the program's own home: the same path in the user's home counts.
            path, is_seen = theirs, None
        is_allowed = self._policy.may_open(path, writing) if is_seen is None else is_seen
        # Opening a missing file is not reported as denied, except to write in an existing folder.
        if is_allowed or not self._policy.is_worth_reporting(path, writing):
            return
        if os.path.lexists(path) or (writing and os.path.isdir(os.path.dirname(path))):
            self._reports.add("write" if writing else "read", path, self._policy.is_enforced)


def _parse(content):
    """Returns (host, port) of a socket address; (None, None) for AF_UNSPEC and AF_UNIX, (None, 0) if invalid or unknown."""
    if len(content) < 2:
        return None, 0
    (family,) = struct.unpack_from("=H", content)
    if family in (_AF_UNSPEC, _AF_UNIX):
        return None, None
    if family == _AF_INET and len(content) >= 8:
        return _socket.inet_ntop(_AF_INET, content[4:8]), struct.unpack_from(">H", content, 2)[0]
    if family == _AF_INET6 and len(content) >= 24:
        octets, port = content[8:24], struct.unpack_from(">H", content, 2)[0]
        if octets[:12] == b"\0" * 10 + b"\xff\xff":
            return _socket.inet_ntop(_AF_INET, octets[12:]), port
        return _socket.inet_ntop(_AF_INET6, octets), port
    return None, 0


def _is_loopback(host):
    return host.startswith("127.") or host in ("::1", "0.0.0.0", "::")


def show(host, port):
    return "[%s]:%d" % (host, port) if ":" in host else "%s:%d" % (host, port)


def _dial(call, descriptor, flags, host, port):
    """Connects from outside the sandbox and hands the socket over, to blocking and non-blocking callers."""
    try:
        family, kind, protocol, _, address = _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM)[0]
        own = _socket.socket(family, kind, protocol)
    except OSError:
        return call.refuse(errno.EHOSTUNREACH)
    own.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
    own.setblocking(False)
    hand_over(call, descriptor, flags, own, own.connect_ex(address))


def _outcome(own, most_ms):
    """Returns the error code of a pending connection; EINPROGRESS after ``most_ms``."""
    waiting = select.poll()
    waiting.register(own.fileno(), select.POLLOUT)
    return own.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR) if waiting.poll(most_ms) else errno.EINPROGRESS


def hand_over(call, descriptor, flags, own, fault):
    """Replaces the process's socket with ``own`` and answers the call. ``fault``: error code of starting to connect."""
    try:
        if fault == errno.EINPROGRESS and not flags & os.O_NONBLOCK:
            fault = _outcome(own, None)
        if fault not in (0, errno.EINPROGRESS):
            return call.refuse(fault)
        own.setblocking(not flags & os.O_NONBLOCK)
        call.replace(descriptor, own.fileno(), flags)
        return call.succeed() if fault == 0 else call.refuse(fault)
    except _calls.Gone:
        pass
    except OSError as error:
        call.refuse(error.errno or errno.EACCES)
    finally:
        own.close()
