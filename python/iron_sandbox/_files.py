"""Reads files that a program may have made. A FIFO or device could keep its reader waiting: it is not read."""

import os
import stat

_MAX_BYTES = 1 << 16


def read(path):
    """Returns the text of a file, at most 65,536 bytes of it, or None for an unreadable one."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        return os.read(file, _MAX_BYTES).decode(errors="replace") if stat.S_ISREG(os.fstat(file).st_mode) else None
    finally:
        os.close(file)


def is_whole(text):
    """Returns True if ``read`` returned the whole file for certain."""
    return text is not None and len(text.encode()) < _MAX_BYTES
