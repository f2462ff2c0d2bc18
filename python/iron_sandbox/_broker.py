"""Decides about calls that wait for an answer (``_calls.py``): connections, and files that are opened, for reports.

A network that is observed: every connection goes on and is reported. A limited one: only what the policy lists is connected,
from out here and by name, and the connection is put in the place of the process's socket; so it works from a network
namespace that has nothing, and needs none. Whatever goes wrong in here is a refusal.
"""

import _socket
import _thread
import errno
import os
import select
import struct

from . import _calls, _seccomp
from ._names import Conversation, Names

_AF_UNSPEC, _AF_UNIX, _AF_INET, _AF_INET6 = 0, 1, 2, 10
_MAX_ADDRESS = 128
_DOMAIN_PORT = 53
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_MAX_DIALS = 64
_LOOPBACK = ("127.0.0.1", "::1")


class Broker:
    def __init__(self, listener, policy, reports):
        self.listener = listener
        self._policy = policy
        self._reports = reports
        self._names = Names()
        self._dials = 0
        self.conversations = {}
        _calls.prepare(listener)

    def answer_next(self):
        """Answers the call that waits."""
        call = _calls.receive(self.listener)
        if call is None:
            return
        try:
            if call.number == _seccomp.CONNECT:
                self._connect(call)
            else:
                self._report_open(call)
        except _calls.Gone:
            # Its memory cannot be read: an observer is in nobody's way.
            if call.number == _seccomp.CONNECT and self._policy.is_limited:
                call.refuse(errno.EACCES)
            else:
                call.go_on()
        except Exception:
            call.refuse(errno.EACCES)
            raise

    def converse(self, descriptor):
        """Goes on with a connection that asks for names."""
        if not self.conversations[descriptor].go_on():
            del self.conversations[descriptor]
            os.close(descriptor)

    def _connect(self, call):
        descriptor, at, length = call.args[0] & 0xFFFFFFFF, call.args[1], call.args[2] & 0xFFFFFFFF
        content = call.read(at, min(length, _MAX_ADDRESS))
        host, port = _parse(content)
        if host is None:
            # Not of the internet: an end of a connection, or a socket of a file, which the filter lets through or not.
            return call.go_on() if port is None else call.refuse(errno.EACCES)
        if not self._policy.is_limited:
            self._reports.add("connect", _show(host, port), False)
            return call.go_on()
        if port == _DOMAIN_PORT:
            return self._open_conversation(call, descriptor)
        name = self._names.name_of(host) or host
        if not self._policy.may_connect(name, port):
            self._reports.add("connect", _show(name, port), True)
            return call.refuse(errno.EACCES)
        flags = call.descriptor_flags(descriptor)
        if flags is None:
            return call.refuse(errno.ENOTSOCK)
        if name in _LOOPBACK and flags & os.O_NONBLOCK:
            return _dial(call, descriptor, flags, name, port)
        if self._dials >= _MAX_DIALS:
            return call.refuse(errno.EAGAIN)
        self._dials += 1
        _thread.start_new_thread(self._dial_apart, (call, descriptor, flags, name, port))

    def _dial_apart(self, *args):
        try:
            _dial(*args)
        finally:
            self._dials -= 1

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
        # The call waits meanwhile: nothing is looked up here that can be looked up after.
        is_missing = theirs is not None and not os.path.lexists(path)
        is_seen = None
        if self._policy.has_own_temporary(path):
            # What it sees there is not what is there outside.
            seen = os.path.dirname(path) if writing else path
            is_seen = os.path.lexists("/proc/%d/root%s" % (call.pid, seen))
        call.go_on()
        if is_missing:
            # It looks into its home for what is in the user's.
            path, is_seen = theirs, None
        is_allowed = self._policy.may_open(path, writing) if is_seen is None else is_seen
        # Whoever looks for what is not there tries nothing that is forbidden.
        if not is_allowed and (os.path.lexists(path) or (writing and os.path.isdir(os.path.dirname(path)))):
            self._reports.add("write" if writing else "read", path, self._policy.is_enforced)


def _parse(content):
    """(host, port) of an address in memory; (None, None) for what may go on, (None, 0) for what may not."""
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


def _show(host, port):
    return "[%s]:%d" % (host, port) if ":" in host else "%s:%d" % (host, port)


def _dial(call, descriptor, flags, host, port):
    """Connects from out here and hands the connection over, for a process that waits as well as for one that does not."""
    try:
        family, kind, protocol, _, address = _socket.getaddrinfo(host, port, 0, _socket.SOCK_STREAM)[0]
        own = _socket.socket(family, kind, protocol)
    except OSError:
        return call.refuse(errno.EHOSTUNREACH)
    try:
        own.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        own.setblocking(False)
        fault = own.connect_ex(address)
        if fault == errno.EINPROGRESS and not flags & os.O_NONBLOCK:
            waiting = select.poll()
            waiting.register(own.fileno(), select.POLLOUT)
            waiting.poll()
            fault = own.getsockopt(_socket.SOL_SOCKET, _socket.SO_ERROR)
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
