"""A launcher started in advance: its modules are loaded, and it is already in its control group, the step that takes the
kernel longest. It reads from stdin what to run.
"""

import json
import os

from . import _broker, _inside, _reports  # noqa: F401
from ._groups import Group


def wait():
    """Returns the words of the command line and the control group. Ends this process if stdin ends first.

    The input is the number of bytes on a separate line, then JSON with ``words``, ``cwd`` and ``environment``.
    """
    group = Group.open()
    group.enter()
    size = _read_line()
    content = _read(int(size or 0))
    if not content:
        group.leave()
        group.end()
        raise SystemExit(0)
    instructions = json.loads(content)
    os.environb.clear()
    os.environb.update((_encode(name), _encode(value)) for name, value in instructions["environment"].items())
    os.chdir(_encode(instructions["cwd"]))
    return [os.fsdecode(_encode(word)) for word in instructions["words"]], group


def _read_line():
    """Reads a line of stdin and nothing after it. Returns it without the newline; empty if stdin ends first."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 1)
        if not piece:
            return b""
        line += piece
    return line[:-1]


def _read(size):
    """Reads ``size`` bytes of stdin. Returns no bytes if stdin ends first."""
    content = b""
    while len(content) < size:
        piece = os.read(0, size - len(content))
        if not piece:
            return b""
        content += piece
    return content


def _encode(text):
    return text.encode("utf-8", "replace")
