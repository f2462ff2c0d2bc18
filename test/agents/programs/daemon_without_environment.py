"""Leaves a daemon behind that kept nothing, and prints its last argument: another session and parent, no environment, no pipe."""

import os
import sys
import time

mark = os.urandom(8).hex()
read, write = os.pipe2(os.O_CLOEXEC)
if os.fork() == 0:
    os.setsid()
    if os.fork():
        os._exit(0)
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.execve(sys.executable, [sys.executable, "-c", "import time\nwhile True:\n    time.sleep(60)", mark], {})
os.wait()
os.close(write)
# It ends when the daemon has become another program.
os.read(read, 1)
print(mark)
while True:
    time.sleep(60)
