"""The inner side of a launch: init and its child, which restricts itself and becomes the program."""

import _signal
import _socket
import errno
import os
import select
import struct

from . import _landlock, _limits, _namespaces, _privileges, _seccomp, _view
from ._channel import ADOPTED, EXIT, FAULT, LISTENER, SEEN, SEND_SIGNAL, SOCKET
from ._kernel import NR_CLOSE_RANGE, PR_SET_PDEATHSIG, WallError, prctl, syscall
from ._names import RESOLVER_FILE, RESOLVER_LINE

_CLOSE_ON_EXEC = 4
_JSON = {True: "true", False: "false"}
_MEMORY_MB = 256
_FILE_TYPE, _IS_SOCKET = 0o170000, 0o140000
_CONNECTED_KINDS = (_socket.SOCK_STREAM, _socket.SOCK_SEQPACKET)
CANNOT_RUN, NOT_FOUND = 126, 127


def be_init(policy, body, channel, signals, group):
    """Enters the namespaces of the sandbox, starts the program and ends with it. Never returns."""
    with _Faults(channel):
        has_own_users = policy.level == "strict" and _enter_strict(policy, channel)
        signals = signals.again()
        init = os.getpid()
        program = os.fork()
        if program == 0:
            with _Faults(channel):
                _become(policy, body, channel, signals, group, has_own_users, init)
        _watch(program, channel, signals)


class _Faults:
    """Reports an error to the guard and ends this process."""

    def __init__(self, channel):
        self._channel = channel

    def __enter__(self):
        return self

    def __exit__(self, _kind, error, _trace):
        if isinstance(error, SystemExit):
            os._exit(error.code or 0)
        code = NOT_FOUND if isinstance(error, FileNotFoundError) else CANNOT_RUN
        self._channel.send(FAULT, bytes([code]) + str(error or "the program did not begin").encode()[:2000])
        os._exit(code)


def _enter_strict(policy, channel):
    has_own_users = _namespaces.enter(_namespaces.ALL)
    _namespaces.raise_loopback()
    _fork_into_own_ids(channel)
    _view.isolate()
    size = policy.limits.get("file_mb", _MEMORY_MB)
    _view.build(policy.read, policy.write, policy.temporary, size)
    _view.mask(policy.hide, policy.keep, policy.write)
    _view.extend(RESOLVER_FILE, RESOLVER_LINE)
    return has_own_users


def _fork_into_own_ids(channel):
    """Continues as process 1, once the intermediate process has ended and the guard reports that it is the new parent."""
    if os.fork():
        os._exit(0)
    if channel.receive()[0] != ADOPTED:
        os._exit(1)
    # Set earlier, it would be cleared by the change of namespaces, or refer to the intermediate process.
    prctl("init", PR_SET_PDEATHSIG, _signal.SIGKILL)


def _watch(program, channel, signals):
    waiting = select.poll()
    waiting.register(channel.fileno(), select.POLLIN)
    waiting.register(signals.reading, select.POLLIN)
    while True:
        for descriptor, _ in waiting.poll():
            if descriptor == signals.reading:
                for number in signals.take():
                    if number != _signal.SIGCHLD:
                        channel.send(SEEN, bytes([number]))
            else:
                letter, content, _ = channel.receive()
                if letter == SEND_SIGNAL:
                    _send(program, content[0])
                elif letter == SOCKET:
                    _make_socket(channel, content[0])
                elif letter == b"":
                    _send(program, _signal.SIGKILL)
                    os._exit(1)
        status = _reap(program)
        if status is not None:
            channel.send(EXIT, struct.pack("i", status))
            os._exit(0)


def _make_socket(channel, family):
    try:
        own = _socket.socket(family, _socket.SOCK_STREAM)
    except OSError:
        return channel.send(SOCKET)
    channel.send(SOCKET, descriptor=own.fileno())
    own.close()


def _reap(program):
    """Reaps ended children. Returns the wait status of the program if it is among them, else None."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return None
        if pid == 0:
            return None
        if pid == program:
            return status


def _send(program, number):
    """Sends a signal; SIGUSR1 and SIGUSR2 only to a program that catches them, as they would end any other."""
    if number in (_signal.SIGUSR1, _signal.SIGUSR2) and not _catches(program, number):
        return
    try:
        os.kill(program, number)
    except OSError:
        pass  # The program has already ended.


def _catches(pid, number):
    try:
        with open("/proc/%d/status" % pid) as file:
            caught = file.read().partition("SigCgt:")[2].split(None, 1)[0]
    except (OSError, IndexError):
        return False
    return bool(int(caught, 16) >> (number - 1) & 1)


def _become(policy, body, channel, signals, group, has_own_users, init):
    """Restricts this process, in an order in which no restriction prevents the next one, and becomes the program."""
    is_hidden = True
    if policy.level == "standard":
        try:
            has_own_users = _namespaces.enter(_namespaces.MOUNTS)
            _view.isolate()
            _view.narrow(policy.write)
            _view.mask(policy.hide, policy.keep, policy.write)
            if policy.is_limited:
                _view.extend(RESOLVER_FILE, RESOLVER_LINE)
        except WallError:
            # Standard guarantees only the walls that work without namespaces; ``hidden`` is reported as false.
            is_hidden = False
    # Set after the change of namespaces, which clears it.
    prctl("program", PR_SET_PDEATHSIG, _signal.SIGKILL)
    if os.getppid() != init:
        os._exit(1)
    _limits.apply(policy.limits, has_own_users)
    _privileges.forbid_new()
    if policy.is_enforced:
        _require_connected_sockets()
        _privileges.drop(keep_for_root=not has_own_users)
        _landlock.restrict(policy.read, policy.write, deny_connect=policy.is_limited, deny_bind=not policy.may_listen)
        policy.make_own_home()
    allow = policy.allow
    code = _seccomp.program(
        policy.is_enforced,
        udp=not policy.is_limited or "udp" in allow,
        unix="unix" in allow,
        listen=policy.may_listen,
        notify=_seccomp.NOTIFIED + ((_seccomp.LISTEN,) if policy.listens_inside else ()),
    )
    syscall("descriptors", NR_CLOSE_RANGE, 3, 0x7FFFFFFF, _CLOSE_ON_EXEC)
    listener = _seccomp.install(code, True)
    standing = '{"level": "%s", "landlock_abi": %d, "limited": %s, "hidden": %s, "freezer": %s}' % (
        policy.level,
        _landlock.abi(),
        _JSON[policy.is_limited],
        _JSON[is_hidden and policy.is_enforced],
        '"%s"' % group.freezer if group.freezer else "null",
    )
    channel.send(LISTENER, standing.encode(), listener)
    os.close(listener)
    # Last: the kernel may take some time for it, while the guard continues its own setup.
    group.join()
    if not group.holds("memory"):
        _limits.apply_memory(policy.limits)
    signals.restore()
    body()


def _require_connected_sockets():
    """Refuses sockets as standard input, output or error that could send to, or connect to, an address of the program's choice.

    The filter sees how sockets are made, and these are made outside. Raises WallError.
    """
    for descriptor in (0, 1, 2):
        try:
            if os.fstat(descriptor).st_mode & _FILE_TYPE != _IS_SOCKET:
                continue
        except OSError:
            continue  # Closed.
        own = _socket.socket(-1, -1, -1, descriptor)
        try:
            is_connected = own.type in _CONNECTED_KINDS and own.getpeername() is not None
        except OSError:
            is_connected = False
        finally:
            own.detach()
        if not is_connected:
            raise WallError("descriptor %d" % descriptor, errno.ENOTCONN, "a socket that is not connected for good")
