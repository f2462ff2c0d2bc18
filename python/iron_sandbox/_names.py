"""Host names in the sandbox, which cannot reach a name server. Each name that is looked up gets an unroutable address of its
own, so that a later connect identifies the name. The C library sends its queries by TCP (``RES_OPTIONS=use-vc``), and they are
answered here.
"""

import os
import struct

# Environment variable that makes the C library query by TCP.
RESOLVER_OPTIONS = ("RES_OPTIONS", "use-vc")
# The same for programs that look names up themselves, such as those in Go without the C library.
RESOLVER_FILE, RESOLVER_LINE = "/etc/resolv.conf", "options use-vc"
# 198.18.0.0/15 is reserved for network benchmarks: no host has such an address.
_FIRST = 198 << 24 | 18 << 16
_MAX_NAMES = 65_000
_MAX_QUESTION = 512
_TYPE_A, _CLASS_IN = 1, 1
_HEADER = struct.Struct(">6H")


class Names:
    """The names looked up so far, and their addresses."""

    def __init__(self):
        self._of_address = {}
        self._of_name = {}

    def name_of(self, address):
        """Returns the name that ``address`` was assigned to; None for any other address."""
        return self._of_address.get(address)

    def address_of(self, name):
        """Returns the address assigned to ``name``; None when there are too many names."""
        address = self._of_name.get(name)
        if address is None and len(self._of_name) < _MAX_NAMES:
            number = _FIRST + 1 + len(self._of_name)
            address = ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))
            self._of_name[name] = address
            self._of_address[address] = name
        return address

    def answer(self, question):
        """Returns the response to a DNS query, both in wire format; None if the query is invalid."""
        try:
            number, flags, count, _, _, _ = _HEADER.unpack_from(question)
            labels, at = [], _HEADER.size
            while question[at]:
                labels.append(question[at + 1 : at + 1 + question[at]].decode("ascii").lower())
                at += 1 + question[at]
            kind, of_class = struct.unpack_from(">2H", question, at + 1)
        except (struct.error, IndexError, UnicodeDecodeError):
            return None
        if count != 1 or flags & 0x8000:
            return None
        asked = question[_HEADER.size : at + 5]
        address = self.address_of(".".join(labels)) if (kind, of_class) == (_TYPE_A, _CLASS_IN) else None
        # Response, recursion available, no error. Without an answer: the name has no record of this type.
        head = _HEADER.pack(number, 0x8180, 1, 0 if address is None else 1, 0, 0)
        if address is None:
            return head + asked
        octets = bytes(int(part) for part in address.split("."))
        return head + asked + struct.pack(">3HIH", 0xC00C, _TYPE_A, _CLASS_IN, 0, 4) + octets


class Conversation:
    """A connection to the simulated name server."""

    def __init__(self, own, names):
        self.descriptor = own
        self._names = names
        self._received = b""

    def go_on(self):
        """Reads and answers pending queries. Returns False when the connection is over."""
        try:
            piece = os.read(self.descriptor, 4096)
        except OSError:
            return False
        self._received += piece
        while len(self._received) >= 2:
            (length,) = struct.unpack_from(">H", self._received)
            if length > _MAX_QUESTION:
                return False
            if len(self._received) < 2 + length:
                break
            question, self._received = self._received[2 : 2 + length], self._received[2 + length :]
            answer = self._names.answer(question)
            if answer is None:
                return False
            try:
                os.write(self.descriptor, struct.pack(">H", len(answer)) + answer)
            except OSError:
                return False
        return piece != b""
