"""What the processes of a launch hear: signals, and messages between the guard outside and those inside."""

import _signal
import _socket
import os
import struct

# Passed on to the program when only the guard got it.
PASSED_ON = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM, _signal.SIGUSR1, _signal.SIGUSR2)
_MSG_CMSG_CLOEXEC = 0x40000000
_MAX_MESSAGE = 4096

# The first byte of a message: the descriptor of the listener; a signal that reached init; the wait status of the program;
# exit code and reason of a launch that failed; a signal that init is to send; init's first parent has ended; a family, and the
# socket of the inner network that init has made of it.
LISTENER, SEEN, EXIT, FAULT, SEND_SIGNAL, ADOPTED, SOCKET = b"L", b"S", b"X", b"F", b"K", b"A", b"N"


class Signals:
    """The signals that come to this process, in order, from now on; ``reading`` is ready when there are some."""

    def __init__(self, ignored=None):
        """``ignored``: those that the program is to ignore at first. (Default: those that are ignored now.)"""
        self.ignored = [n for n in PASSED_ON if _signal.getsignal(n) == _signal.SIG_IGN] if ignored is None else ignored
        self.reading, self._writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        for number in (*PASSED_ON, _signal.SIGCHLD):
            _signal.signal(number, _hear)
        _signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)

    def take(self):
        """Returns those that came since the last time."""
        try:
            return list(os.read(self.reading, 64))
        except BlockingIOError:
            return []

    def again(self):
        """The same for a process that was forked from this one."""
        os.close(self.reading)
        os.close(self._writing)
        return Signals(self.ignored)

    def restore(self):
        """As a program expects them when it begins."""
        _signal.set_wakeup_fd(-1)
        for number in (*PASSED_ON, _signal.SIGCHLD, _signal.SIGPIPE, _signal.SIGXFSZ):
            _signal.signal(number, _signal.SIG_IGN if number in self.ignored else _signal.SIG_DFL)


def _hear(_number, _frame):
    """The descriptor that Python wakes is what is waited for."""


def open_pair():
    """Two ends of a channel."""
    return [Channel(own) for own in _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_SEQPACKET)]


class Channel:
    def __init__(self, own):
        self._own = own

    def fileno(self):
        return self._own.fileno()

    def send(self, letter, content=b"", descriptor=None):
        rights = []
        if descriptor is not None:
            rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("i", descriptor))]
        try:
            self._own.sendmsg([letter + content[:_MAX_MESSAGE]], rights)
        except OSError:
            pass  # The other side has ended, which is seen where it is waited for.

    def receive(self):
        """(letter, content, descriptor); the letter is empty when the other side is gone."""
        try:
            message, rights, _, _ = self._own.recvmsg(_MAX_MESSAGE + 1, _socket.CMSG_SPACE(4), _MSG_CMSG_CLOEXEC)
        except OSError:
            return b"", b"", None
        return message[:1], message[1:], struct.unpack("i", rights[0][2])[0] if rights else None

    def close(self):
        self._own.close()
