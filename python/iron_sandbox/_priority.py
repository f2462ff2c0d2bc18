"""Lowers a program's priority for the processor while it uses much of the machine's time, so that it does not slow others down.

The kernel's ``cpu.idle`` gives a control group the time that others leave. A program that uses little is never affected, and one that
got little because others were busy has its usual priority again, so none is starved.
"""

import os
import time

# Share of the machine's processor time above which a program counts as busy.
BUSY_SHARE = 0.25
_CHECK_SECONDS = 0.5


class Priority:
    """``folders``: those of the control group, by controller. Does nothing without Linux 5.15 or a version 2 hierarchy."""

    def __init__(self, folders):
        try:
            self._usage = os.open(folders[""] + "/cpu.stat", os.O_RDONLY | os.O_CLOEXEC)
            self._idle = os.open(folders["cpu"] + "/cpu.idle", os.O_WRONLY | os.O_CLOEXEC)
        except (KeyError, OSError):
            self.next_check = None
            return
        self._most = BUSY_SHARE * len(os.sched_getaffinity(0))
        self._is_low = False
        self._at, self._used = time.monotonic(), self._read()
        # Time of the next ``check`` by time.monotonic(); None: never.
        self.next_check = self._at + _CHECK_SECONDS

    def check(self):
        """Sets the priority by the program's use since the last check, if one is due."""
        now = time.monotonic()
        if self.next_check is None or now < self.next_check:
            return
        try:
            used = self._read()
            is_busy = used - self._used > self._most * (now - self._at)
            if is_busy != self._is_low:
                os.pwrite(self._idle, b"1" if is_busy else b"0", 0)
                self._is_low = is_busy
        except OSError:
            self.next_check = None  # The group was removed.
            return
        self._at, self._used, self.next_check = now, used, now + _CHECK_SECONDS

    def _read(self):
        """Returns the processor time that the group has used, in seconds."""
        content = os.pread(self._usage, 100, 0)
        return int(content.split(None, 2)[1]) / 1e6
