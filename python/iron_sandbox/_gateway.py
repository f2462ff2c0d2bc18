"""Redirects connections that the policy does not list: the gateway opens them, decides and answers like a proxy.

The guard asks for a tunnel and hands its socket over, so the program needs no proxy settings. The address and the token come
from the variables that the program is given anyway.
"""

import _socket
import base64
import errno
import os

from ._broker import hand_over, show

_MAX_HEAD = 8_192
# A name is resolved and dialed within that time.
_ANSWER_SECONDS = 40


class Gateway:
    """``host``, ``port``: where it listens. ``token``: identifies the run."""

    def __init__(self, host, port, token):
        self._address = (host, port)
        self._token = token
        self._credentials = ""

    @classmethod
    def of(cls, environment):
        """Returns the gateway that the variables name; None if they name none."""
        address = environment.get("IRON_CAGE_URL", "").rpartition("//")[2]
        host, _, port = address.rpartition(":")
        token = environment.get("IRON_CAGE_TOKEN")
        return cls(host, int(port), token) if host and port.isdigit() and token else None

    def make_key(self):
        """Makes the key that proves the guard to the gateway, and returns it. No process inside has it."""
        key = os.urandom(32).hex()
        self._credentials = base64.b64encode(("redirect-%s:%s" % (key, self._token)).encode()).decode()
        return key

    def dial(self, call, descriptor, flags, name, port):
        """Answers a connect: with a tunnel, with EACCES if the gateway refuses, and with EHOSTUNREACH if nothing answers."""
        own = _socket.socket(_socket.AF_INET, _socket.SOCK_STREAM)
        try:
            own.settimeout(_ANSWER_SECONDS)
            own.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
            own.connect(self._address)
            target = show(name, port)
            head = "CONNECT %s HTTP/1.1\r\nHost: %s\r\nProxy-Authorization: Basic %s\r\n\r\n"
            own.sendall((head % (target, target, self._credentials)).encode())
            status = _status_of(own)
        except OSError:
            status = None
        if status == b"200":
            return hand_over(call, descriptor, flags, own, 0)
        own.close()
        call.refuse(errno.EACCES if status in (b"400", b"403") else errno.EHOSTUNREACH)


def _status_of(own):
    """Returns the status of the answer. Reads exactly its head: what follows belongs to the program."""
    head = b""
    while not head.endswith(b"\r\n\r\n") and len(head) < _MAX_HEAD:
        # Looked at first, so that the head is taken in few pieces.
        seen = own.recv(_MAX_HEAD, _socket.MSG_PEEK)
        if not seen:
            return None
        end = (head + seen).find(b"\r\n\r\n")
        head += own.recv(len(seen) if end < 0 else end + 4 - len(head))
    return head.split(b" ", 2)[1] if head.startswith(b"HTTP/1.") else None
