"""The seccomp notify listener: system calls of sandboxed processes that wait for an answer from outside.

The data that a call points to is read from the process's memory once. The connection decided on is made outside, with a
socket that replaces the process's own, so that changing the memory meanwhile has no effect. Calls that are only reported
continue unchanged.
"""

import _socket
import errno
import fcntl
import os
import struct

from ._kernel import NR_PIDFD_GETFD, NR_PIDFD_OPEN, syscall

_RECEIVE, _SEND, _VALID, _ADD_FD, _SET_FLAGS = 0xC0502100, 0xC0182101, 0x40082102, 0x40182103, 0x40082104
_CONTINUE = 1
_REPLACE = 1
# Wakes the listener on the caller's CPU (Linux 6.6), which halves the time of a call.
_SYNC_WAKE_UP = 1
_AT_FDCWD = 0xFFFFFF9C
_O_CLOEXEC = 0o2000000
_MAX_PATH = 4096
_PAGE = 4096


class Gone(Exception):
    """The process ended, or its call was interrupted, before the answer."""


class Call:
    """A waiting system call: ``number``, and ``args`` as passed by the process."""

    __slots__ = ("_listener", "_id", "pid", "number", "args")

    def __init__(self, listener, content):
        self._listener = listener
        self._id, self.pid, _flags, self.number, _arch, _ip = struct.unpack_from("=QIIiIQ", content)
        self.args = struct.unpack_from("=6Q", content, 32)

    def read(self, address, length):
        """Returns bytes of the process's memory; none for an invalid address. Raises Gone."""
        try:
            memory = os.open("/proc/%d/mem" % self.pid, os.O_RDONLY | os.O_CLOEXEC)
            try:
                content = os.pread(memory, length, address)
            finally:
                os.close(memory)
        except OSError as error:
            if error.errno in (errno.EIO, errno.EFAULT):
                return b""
            raise Gone from None
        self._require_valid()
        return content

    def path(self, address, folder):
        """Returns the path at ``address`` as an absolute one, relative to the descriptor ``folder``. Raises Gone."""
        content = self.read(address, min(_MAX_PATH, _PAGE - address % _PAGE))
        if b"\0" not in content:
            content += self.read(address + len(content), _MAX_PATH)
        return self.absolute(os.fsdecode(content.partition(b"\0")[0]), folder)

    def absolute(self, name, folder=_AT_FDCWD):
        """Returns ``name`` as an absolute path, relative to the descriptor ``folder``. Raises Gone."""
        if name.startswith("/"):
            return os.path.normpath(name)
        at = "cwd" if folder & 0xFFFFFFFF == _AT_FDCWD else "fd/%d" % (folder & 0xFFFFFFFF)
        try:
            return os.path.normpath(os.path.join(os.readlink("/proc/%d/%s" % (self.pid, at)), name))
        except OSError:
            raise Gone from None

    def descriptor_flags(self, descriptor):
        """Returns the flags (O_NONBLOCK, O_CLOEXEC …) of a socket of the process; None if it is not a socket. Raises Gone."""
        try:
            if not os.readlink("/proc/%d/fd/%d" % (self.pid, descriptor)).startswith("socket:"):
                return None
            with open("/proc/%d/fdinfo/%d" % (self.pid, descriptor)) as file:
                text = file.read()
        except OSError:
            return None
        self._require_valid()
        return int(text.partition("flags:")[2].split(None, 1)[0], 8)

    def duplicate(self, descriptor):
        """Returns a socket of the process as a ``_socket.socket`` of this one. Raises OSError, and Gone."""
        process = syscall("socket", NR_PIDFD_OPEN, self._leader(), 0)
        try:
            own = syscall("socket", NR_PIDFD_GETFD, process, descriptor, 0)
        finally:
            os.close(process)
        self._require_valid()
        try:
            return _socket.socket(-1, -1, -1, own)
        except OSError:
            os.close(own)
            raise

    def _leader(self):
        """Returns the process id of the calling thread."""
        try:
            with open("/proc/%d/status" % self.pid) as file:
                return int(file.read().partition("Tgid:")[2].split(None, 1)[0])
        except OSError:
            raise Gone from None

    def go_on(self):
        """Lets the kernel execute the call."""
        self._answer(0, 0, _CONTINUE)

    def refuse(self, code):
        """Answers with an error."""
        self._answer(0, -code, 0)

    def succeed(self):
        """Answers 0."""
        self._answer(0, 0, 0)

    def replace(self, descriptor, own, flags):
        """Replaces ``descriptor`` of the process with our file ``own``. Raises Gone."""
        content = bytearray(struct.pack("=QIIII", self._id, _REPLACE, own, descriptor, flags & _O_CLOEXEC))
        try:
            fcntl.ioctl(self._listener, _ADD_FD, content, True)
        except OSError:
            raise Gone from None

    def _answer(self, value, error, flags):
        try:
            fcntl.ioctl(self._listener, _SEND, bytearray(struct.pack("=QqiI", self._id, value, error, flags)), True)
        except OSError:
            pass  # The process has ended meanwhile.

    def _require_valid(self):
        try:
            fcntl.ioctl(self._listener, _VALID, struct.pack("=Q", self._id))
        except OSError:
            raise Gone from None


def prepare(listener):
    """Makes answers faster where the kernel supports it."""
    try:
        # The flags are passed by value.
        fcntl.ioctl(listener, _SET_FLAGS, _SYNC_WAKE_UP)
    except OSError:
        pass


def receive(listener):
    """Returns the next waiting call; None if it was interrupted."""
    content = bytearray(80)
    try:
        fcntl.ioctl(listener, _RECEIVE, content, True)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.EINTR):
            return None
        raise
    return Call(listener, content)
