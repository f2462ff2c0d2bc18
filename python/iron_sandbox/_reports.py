"""Reports actual and possible refusals to the caller that started the sandbox, as lines of JSON.

First ``{"standing": {"level": …, "landlock_abi": n, "limited": …, "hidden": …}}``, with ``"gateway_key"`` beside it where it redirects, when the sandbox is set up, or
``{"fault": …}`` when the program was not started; then ``{"action": "connect" | "read" | "write", "target": …,
"refused": true | false, "count": n}``. The first occurrence is written at once and repetitions are summed up, at most
MAX_LINES_PER_SECOND. When the program has ended, ``{"planted": path, "aside": path}`` (``_planted.py``).
"""

import os
import time

MAX_LINES_PER_SECOND = 20
_MAX_TARGETS = 256
_MAX_TARGET = 300


class Reports:
    def __init__(self, descriptor):
        """``descriptor``: where to write; None writes nothing."""
        self._descriptor = descriptor
        self._seen = set()
        self._waiting = {}
        self._second = 0
        self._lines = 0
        self._flushed = 0.0

    def add_standing(self, facts, key=None):
        """Reports that the sandbox is set up: ``{"standing": …}``. ``facts``: JSON, as bytes. ``key``: that of its redirects."""
        more = b"" if key is None else b', "gateway_key": "%s"' % key.encode()
        self._write_line(b'{"standing": %s%s}' % (facts, more))

    def add_fault(self, text):
        """Reports why the program was not started: ``{"fault": text}``."""
        from json import dumps

        self._write_line(dumps({"fault": text}).encode())

    def add_planted(self, path, aside):
        """Reports a file planted for other programs: ``{"planted": path, "aside": where it is now}``."""
        from json import dumps

        self._write_line(dumps({"planted": path, "aside": aside}).encode())

    def add(self, action, target, refused):
        """Reports one attempt."""
        if self._descriptor is None:
            return
        key = (action, target[:_MAX_TARGET], refused)
        if key not in self._seen and len(self._seen) < _MAX_TARGETS and self._may_write():
            self._seen.add(key)
            self._write(key, 1)
            return
        if key not in self._waiting and len(self._waiting) >= _MAX_TARGETS:
            key = (action, "others", refused)
        self._waiting[key] = self._waiting.get(key, 0) + 1

    @property
    def is_waiting(self):
        """Whether ``flush`` has something to write within a second."""
        return bool(self._waiting)

    def flush(self, everything=False):
        """Writes the summed-up attempts, at most once a second; with ``everything``, all of them without rate limits."""
        if not everything and time.monotonic() - self._flushed < 1:
            return
        self._flushed = time.monotonic()
        for key in list(self._waiting):
            if not everything and not self._may_write():
                return
            self._seen.add(key)
            self._write(key, self._waiting.pop(key))

    def _may_write(self):
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        self._lines += 1
        return self._lines <= MAX_LINES_PER_SECOND

    def _write(self, key, count):
        # Imported at the first report, for a faster start.
        from json import dumps

        action, target, refused = key
        line = dumps({"action": action, "target": target, "refused": refused, "count": count})
        self._write_line(line.encode())

    def _write_line(self, line):
        if self._descriptor is None:
            return
        try:
            os.write(self._descriptor, line + b"\n")
        except OSError:
            self._descriptor = None  # The reader has closed its end.
