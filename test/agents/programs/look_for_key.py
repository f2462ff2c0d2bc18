"""Looks for the master key wherever a process of the same user can: its own environment and that of all ancestors."""

import os
import sys

KEY = sys.argv[1].encode()[::-1]


def parent_of(pid):
    with open(f"/proc/{pid}/stat") as stat:
        return int(stat.read().rpartition(")")[2].split()[1])


seen = 0
pid = os.getpid()
while pid > 1:
    for name in ("environ", "cmdline"):
        try:
            with open(f"/proc/{pid}/{name}", "rb") as file:
                # Our own arguments hold it backwards.
                if KEY in file.read():
                    sys.exit(f"found in /proc/{pid}/{name}")
        except PermissionError:
            continue
        seen += 1
    for descriptor in range(3, 32):
        if pid == os.getpid() and os.path.exists(f"/proc/self/fd/{descriptor}"):
            try:
                if KEY in os.pread(descriptor, 1000, 0):
                    sys.exit("found in an open file")
            except OSError:
                pass
    pid = parent_of(pid)
if any(KEY.decode() in value or name.startswith("IRON_CAGE_MASTER_KEY") for name, value in os.environ.items()):
    sys.exit("found in the own environment")
print(f"looked at {seen} places; secret {os.environ.get('DEMO_SECRET', 'missing')[:4]}")
