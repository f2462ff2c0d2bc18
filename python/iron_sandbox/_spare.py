"""A launcher that is there before it is needed: what it needs is loaded, and it has a control group and is in it, which takes the
kernel longest. What it is to do comes in by stdin.
"""

import json
import os

from . import _broker, _inside, _reports  # noqa: F401
from ._groups import Group


def wait():
    """Returns the words of the command line and the control group. Ends this process when stdin ends before.

    What comes in: the number of bytes in a line of its own, then JSON: ``words``, ``cwd`` and ``environment``.
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
    """A line of stdin, without its end and nothing beyond it; empty when stdin ends before."""
    line = b""
    while not line.endswith(b"\n"):
        piece = os.read(0, 1)
        if not piece:
            return b""
        line += piece
    return line[:-1]


def _read(size):
    """So many bytes of stdin; none when it ends before."""
    content = b""
    while len(content) < size:
        piece = os.read(0, size - len(content))
        if not piece:
            return b""
        content += piece
    return content


def _encode(text):
    return text.encode("utf-8", "replace")
