"""Leaves a daemon behind that kept nothing, and prints its pid: another session and parent, no environment, no pipe."""

import os
import sys
import time

read, write = os.pipe()
if os.fork() == 0:
    os.setsid()
    daemon = os.fork()
    if daemon:
        os.write(write, str(daemon).encode())
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2, read, write):
        os.dup2(null, descriptor)
    os.execve(sys.executable, [sys.executable, "-c", "import time\nwhile True:\n    time.sleep(60)"], {})
os.wait()
print(int(os.read(read, 20)))
while True:
    time.sleep(60)
