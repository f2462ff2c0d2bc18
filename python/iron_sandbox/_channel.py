"""Signals, and messages between the guard outside the sandbox and the processes inside."""

import _signal
import _socket
import os
import struct

# Forwarded to the program when only the guard received them.
PASSED_ON = (_signal.SIGHUP, _signal.SIGINT, _signal.SIGQUIT, _signal.SIGTERM, _signal.SIGUSR1, _signal.SIGUSR2)
_MSG_CMSG_CLOEXEC = 0x40000000
_MAX_MESSAGE = 4096

# Message types (first byte), in order: the descriptor of the notify listener; a signal that reached init; the wait status of the
# program; exit code and reason of a failed launch; a signal for init to send; init's first parent has ended; an address family,
# answered with a socket of it that init made in the inner network.
LISTENER, SEEN, EXIT, FAULT, SEND_SIGNAL, ADOPTED, SOCKET = b"L", b"S", b"X", b"F", b"K", b"A", b"N"


class Signals:
    """Collects the signals of this process in order of arrival; ``reading`` is readable when some are pending."""

    def __init__(self, ignored=None):
        """``ignored``: signals that the program initially ignores. (Default: those that are ignored now.)"""
        self.ignored = [n for n in PASSED_ON if _signal.getsignal(n) == _signal.SIG_IGN] if ignored is None else ignored
        self.reading, self._writing = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        for number in (*PASSED_ON, _signal.SIGCHLD):
            _signal.signal(number, _hear)
        _signal.set_wakeup_fd(self._writing, warn_on_full_buffer=False)

    def take(self):
        """Returns the signals received since the last call."""
        try:
            return list(os.read(self.reading, 64))
        except BlockingIOError:
            return []

    def again(self):
        """Returns new ``Signals`` in a forked process and closes the inherited pipe."""
        os.close(self.reading)
        os.close(self._writing)
        return Signals(self.ignored)

    def restore(self):
        """Restores the dispositions that a program expects at its start."""
        _signal.set_wakeup_fd(-1)
        for number in (*PASSED_ON, _signal.SIGCHLD, _signal.SIGPIPE, _signal.SIGXFSZ):
            _signal.signal(number, _signal.SIG_IGN if number in self.ignored else _signal.SIG_DFL)


def _hear(_number, _frame):
    """Does nothing: signals are read from the wakeup descriptor."""


def open_pair():
    """Returns the two ends of a new channel."""
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
            pass  # The peer has ended; receive() reports it.

    def receive(self):
        """Returns (letter, content, descriptor); the letter is empty when the peer has ended."""
        try:
            message, rights, _, _ = self._own.recvmsg(_MAX_MESSAGE + 1, _socket.CMSG_SPACE(4), _MSG_CMSG_CLOEXEC)
        except OSError:
            return b"", b"", None
        return message[:1], message[1:], struct.unpack("i", rights[0][2])[0] if rights else None

    def close(self):
        self._own.close()
