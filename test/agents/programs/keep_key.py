"""Prints how the secret A_KEY ends, and again whenever it has changed. Its argument chooses its handling of the
signal."""

import os
import signal
import sys
import time

# Ends without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

what = sys.argv[1] if len(sys.argv) > 1 else ""
if what == "own":
    signal.signal(signal.SIGUSR1, lambda *_: print("own handler", flush=True))
elif what == "default":
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
elif what == "exec":
    os.execv("/bin/sh", ["sh", "-c", "echo became a shell; while :; do sleep 0.05; done"])

shown = ""
while True:
    ending = os.environ.get("A_KEY", "nothing")[-2:]
    if ending != shown:
        shown = ending
        print("ends in", shown, flush=True)
    time.sleep(0.02)
